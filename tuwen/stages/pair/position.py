"""Where on the page an image stands, and how far from its text."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

ATTACHED = pa.array(["alt", "caption", "title", "aria_label", "link"])


@dataclass(frozen=True)
class Position:
    """Place of the image in the page's reading order and its distance from the text.

    `relative_position`  0 for the first node of the page, 1 for the last; null where unknown
    `text_distance`      0 for texts that belong to the image (alt, caption, title, aria_label, link); else nodes from
                         the image to the text, 1 for its neighbour; null for texts of no place, such as page titles
    `text_before`        the text precedes the image in reading order; null where `text_distance` is 0 or null
    `in_main`            the image is in the region `main`; null where the region is unknown

    Distance as evidence of belonging: Coelho, Calado, Souza, Ribeiro-Neto & Muntz, "Image retrieval using multiple
    evidence ranking", TKDE 2004. https://doi.org/10.1109/TKDE.2004.1269666
    """

    table = "pairs"
    reads = ("position", "text_position", "text_source", "region", "document.num_nodes")
    writes = pa.schema(
        [
            ("relative_position", pa.float32()),
            ("text_distance", pa.int32()),
            ("text_before", pa.bool_()),
            ("in_main", pa.bool_()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        last = pc.max_element_wise(pc.subtract(batch["document.num_nodes"], 1), 1, skip_nulls=False)
        relative = pc.divide(batch["position"].cast(pa.float32()), last.cast(pa.float32()))
        step = pc.subtract(batch["position"], batch["text_position"])
        attached = pc.fill_null(pc.is_in(batch["text_source"], ATTACHED), False)
        apart = pc.and_(pc.invert(attached), pc.is_valid(step))
        arrays = [
            pc.min_element_wise(relative, pa.scalar(1, pa.float32()), skip_nulls=False),
            pc.if_else(attached, pa.scalar(0, pa.int32()), pc.abs(step)),
            pc.if_else(apart, pc.greater(step, 0), None),
            pc.equal(batch["region"], "main"),
        ]
        return pa.record_batch(
            [array.cast(field.type) for array, field in zip(arrays, self.writes, strict=True)],
            schema=self.writes,
        )
