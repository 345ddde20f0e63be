"""Reservations of rights that an image was served with."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.robots import parse


@dataclass(frozen=True)
class OptOut:
    """What the X-Robots-Tag of the image says to everybody about indexing and training.

    `image_noindex`, `image_noai`, `image_noimageai` hold for everybody; `image_refused_agents` are the AI crawlers
    that are told `noindex`, `none` or `noai` by name, sorted. All null where the image came without that header. The
    page's own words are in `document.opt_out`.
    https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag#xrobotstag
    """

    table = "pairs"
    reads = ("image_x_robots_tag",)
    writes = pa.schema(
        [
            ("image_noindex", pa.bool_()),
            ("image_noai", pa.bool_()),
            ("image_noimageai", pa.bool_()),
            ("image_refused_agents", pa.list_(pa.string())),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [None if tag is None else parse(tag) for tag in batch["image_x_robots_tag"].to_pylist()]
        rows = [
            (part.noindex, part.noai, part.noimageai, sorted(part.refused_agents)) if part else (None,) * 4
            for part in found
        ]
        return pa.RecordBatch.from_pylist(
            [dict(zip(self.writes.names, row, strict=True)) for row in rows], schema=self.writes
        )
