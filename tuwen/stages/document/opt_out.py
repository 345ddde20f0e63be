"""Reservations of rights that a page states."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.robots import Directives, parse

Evidence = list[tuple[str, str]]
ROBOTS = frozenset({"meta_robots", "x_robots_tag"})
_NO_TRAINING = re.compile(r"\btrain-(?:gen)?ai\s*=\s*n\b")
_TRAINING = re.compile(r"\btrain-(?:gen)?ai\s*=")


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
        rows = [_reservations(_evidence(found)) for found in batch["rights"].to_pylist()]
        return pa.RecordBatch.from_pylist(rows, schema=self.writes)


def _evidence(found: list[dict[str, str | None] | None] | None) -> Evidence:
    return [((entry["kind"] or ""), (entry["value"] or "").lower()) for entry in found or [] if entry]


def _reservations(evidence: Evidence) -> dict[str, object]:
    robots = Directives.union(parse(value) for kind, value in evidence if kind in ROBOTS)
    tdm = [value.strip() == "1" for kind, value in evidence if kind == "tdm_reservation"]
    usage = [value for kind, value in evidence if kind == "content_usage" and _TRAINING.search(value)]
    return {
        "noindex": robots and robots.noindex,
        "noai": robots and robots.noai,
        "noimageai": robots and robots.noimageai,
        "refused_agents": robots and sorted(robots.refused_agents),
        "tdm_reserved": any(tdm) if tdm else None,
        "train_ai_refused": any(map(_NO_TRAINING.search, usage)) if usage else None,
    }
