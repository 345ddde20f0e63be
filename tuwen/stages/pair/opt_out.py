"""Reservations of rights that an image was served with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from tuwen.stages.reservations import Reserved


@dataclass(frozen=True)
class OptOut:
    """What the image's own server says about indexing and training: headers of the image and files of its site.

    `image_noindex`, `image_noai`, `image_noimageai`  X-Robots-Tag, to everybody. https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag#xrobotstag
    `image_refused_agents`      AI crawlers that are told `noindex`, `none` or `noai` by name there, or that robots.txt
                                keeps out where it lets everybody else in, sorted
    `image_tdm_reserved`        TDMRep, by header or /.well-known/tdmrep.json
    `image_train_ai_refused`    Content-Usage says train-ai=n, by header or in robots.txt (AIPREF)
    `image_robots_disallowed`   robots.txt does not let the fetcher in (RFC 9309), or could not be had
    `image_ai_txt_refused`      /ai.txt refuses the file. https://spawning.ai/ai-txt

    Null where there is no evidence of that kind, or nobody looked. The page's own words are in `document.opt_out`.
    """

    version = 2
    table = "pairs"
    reads = ("image_rights",)
    writes = pa.schema(
        [
            ("image_noindex", pa.bool_()),
            ("image_noai", pa.bool_()),
            ("image_noimageai", pa.bool_()),
            ("image_refused_agents", pa.list_(pa.string())),
            ("image_tdm_reserved", pa.bool_()),
            ("image_train_ai_refused", pa.bool_()),
            ("image_robots_disallowed", pa.bool_()),
            ("image_ai_txt_refused", pa.bool_()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [_reservations(_hashable(rights)) for rights in batch["image_rights"].to_pylist()]
        columns = [
            pa.array([getattr(one, part.name.removeprefix("image_")) for one in found], part.type)
            for part in self.writes
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.writes)


def _hashable(rights: list[dict[str, Any] | None] | None) -> tuple[tuple[str | None, str | None], ...]:
    return tuple((entry["kind"], entry["value"]) for entry in rights or () if entry)


@lru_cache(maxsize=4096)  # the images of a site say the same
def _reservations(rights: tuple[tuple[str | None, str | None], ...]) -> Reserved:
    return Reserved.of({"kind": kind, "value": value} for kind, value in rights)
