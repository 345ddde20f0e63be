"""One stage on a few rows, without a corpus: for notebooks, tests and the curious."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tuwen import parts
from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.stages import Stage, kind_of, option


def stage(name: str, **parameters: Any) -> Stage:
    """The shipped stage of that name, e.g. `stage("text.language")`, its parameters validated."""
    loaded: Stage = parts.load("tuwen.stages", name, parameters)
    return loaded


def run(
    part: Stage | str, rows: pa.RecordBatch | pa.Table | Mapping[str, Sequence[Any]], corpus: Corpus | None = None
) -> pa.Table:
    """What a stage writes for `rows` (columns as in its `reads`; image bytes as `bytes`).

    A stage that looks at the whole corpus needs `corpus`. Unlike a build, an exception of the stage is raised.
    """
    part = stage(part) if isinstance(part, str) else part
    batch = _batch(rows)
    extras: dict[str, Any] = {}
    short_side = option(part, "pixels")
    if short_side is not None:
        from tuwen.stages.image.pixels import decode

        _require(batch, "bytes", part)
        extras["pixels"] = [decode(data.as_py(), short_side) for data in batch["bytes"]]
    if kind_of(part) != "local":
        if corpus is None:
            raise UsageError(f"{parts.name_of(part)} looks at a whole corpus; pass it as `corpus=`")
        prepared: Any = part
        state = prepared.prepare(corpus)
        extras["state"] = state if isinstance(state, pa.Table) else state.read_all()
    for name in part.reads:
        _require(batch, name, part)
    return pa.Table.from_batches([part(batch.select(list(part.reads)), **extras)])


def _require(batch: pa.RecordBatch, name: str, part: Stage) -> None:
    if name not in batch.schema.names:
        raise UsageError(f"{parts.name_of(part)} reads {name!r}; the rows have {', '.join(batch.schema.names)}")


def _batch(rows: pa.RecordBatch | pa.Table | Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    if isinstance(rows, pa.RecordBatch):
        return rows
    table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
