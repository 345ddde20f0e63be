"""Size and shape of a document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.nodes import flatten, sum_by_row

PICTURES = pa.array(["image", "svg", "frame"])


@dataclass(frozen=True)
class Properties:
    """How much a document says, how many pictures it shows, and how much of both is in its main part.

    `num_nodes`        entries of `nodes`
    `num_characters`   Unicode code points of all text
    `num_images`       nodes that are images, drawings or frames, recurring ones counted each time
    `main_characters`  as `num_characters`, in the region `main`
    `main_images`      as `num_images`, in the region `main`
    `main_share`       main_characters / num_characters, 0 to 1: low for navigation and index pages; null without text

    Null where `nodes` is null. Text density of regions as a sign of content: Kohlschütter, Fankhauser & Nejdl,
    "Boilerplate detection using shallow text features", WSDM 2010. https://doi.org/10.1145/1718487.1718542
    """

    table = "documents"
    reads = ("nodes",)
    writes = pa.schema(
        [
            ("num_nodes", pa.int32()),
            ("num_characters", pa.int32()),
            ("num_images", pa.int32()),
            ("main_characters", pa.int32()),
            ("main_images", pa.int32()),
            ("main_share", pa.float32()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        nodes, rows = flatten(batch["nodes"])
        characters = pc.utf8_length(pc.struct_field(nodes, "text"))
        pictures = pc.is_in(pc.struct_field(nodes, "kind"), PICTURES)
        in_main = pc.equal(pc.struct_field(nodes, "region"), "main")
        counts = [
            sum_by_row(values, rows, batch.num_rows)
            for values in (
                pc.is_valid(nodes),
                characters,
                pictures,
                pc.if_else(in_main, characters, 0),
                pc.and_(in_main, pictures),
            )
        ]
        with np.errstate(invalid="ignore"):
            main_share = counts[3] / counts[1]
        unknown = pc.is_null(batch["nodes"]).to_numpy(zero_copy_only=False)
        arrays = [pa.array(count, pa.int32(), mask=unknown) for count in counts]
        arrays.append(pa.array(main_share, pa.float32(), mask=unknown | (counts[1] == 0)))
        return pa.record_batch(arrays, schema=self.writes)
