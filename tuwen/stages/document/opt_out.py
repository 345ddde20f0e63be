"""Reservations of rights that a page states."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.reservations import Reserved


@dataclass(frozen=True)
class OptOut:
    """What the page says about indexing and training, from its `rights` evidence; numbers of no verdict.

    `noindex`, `noai`, `noimageai`  robots directives for everybody, in meta tags or X-Robots-Tag
    `refused_agents`                AI crawlers that are told `noindex`, `none` or `noai` by name, sorted;
                                    `tuwen.stages.robots.AI_AGENTS` lists those that are looked for
    `tdm_reserved`                  text and data mining is reserved. https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/
    `train_ai_refused`              Content-Usage says train-ai=n. https://datatracker.ietf.org/doc/draft-ietf-aipref-attach/

    Null where the page holds no evidence of that kind: nobody has said anything, which is not consent. Rules for
    search engines alone (googlebot, …) are left out. Compare with `is distinct from true` in rules.
    """

    table = "documents"
    reads = ("rights",)
    writes = pa.schema(
        [
            ("noindex", pa.bool_()),
            ("noai", pa.bool_()),
            ("noimageai", pa.bool_()),
            ("refused_agents", pa.list_(pa.string())),
            ("tdm_reserved", pa.bool_()),
            ("train_ai_refused", pa.bool_()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [Reserved.of(rights) for rights in batch["rights"].to_pylist()]
        columns = [pa.array([getattr(one, part.name) for one in found], part.type) for part in self.writes]
        return pa.RecordBatch.from_arrays(columns, schema=self.writes)
