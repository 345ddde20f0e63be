"""Stages: one published method each, in one file each. A stage adds columns and never judges.

The whole contract is a frozen dataclass with three class attributes and a call:

    @dataclass(frozen=True)
    class Language:
        \"\"\"Language of the text: BCP-47 tag and confidence in [0, 1]. <paper or spec URL>\"\"\"
        table = "pairs"
        reads = ("text",)
        writes = pa.schema([("language", pa.string()), ("language_confidence", pa.float32())])

        def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch: ...

The call returns the same rows in the same order, with the columns of `writes` only. What a method needs beyond that
it declares, and the engine hands over:

`version`   int, default 1. Raise it whenever the results change: it is part of the column's freshness.
`reads`     may follow a key: `image.width` from a table that has `image_id` (`pairs`, after `pair.resolve`),
            `document.title` from one that has `document_id`. The batch then has a column of that dotted name;
            null where the key is null or unknown. On `documents`, `image.width` follows the list `image_ids` (after
            `document.resolve`): a list for each page, entry by entry beside its nodes.
`writes`    may depend on the parameters, as a property of the instance (`tuwen.stages.embeddings.EmbeddingColumn`); on
            the class it still has to say the names of the columns. So may `reads`, `surveys` and `pixels`.
`pixels`    int. The call takes `pixels=list[Decoded]`, one per row: each image is decoded once for all stages that ask
            for the same `pixels`, at the smallest scale whose shorter side is still at least that (0: full size).
`prepare`   method `prepare(corpus) -> pa.Table`, run once by the driver; the call then takes `state=` that table
            (memory-mapped). `kind` says how long a state holds:
`kind`      "local" (default: depends on the row alone), "corpus" (has `prepare`, which reads the columns named in
            `surveys`, as `table.column`; recomputed when any of them changes), "fitted" (as corpus, but the state is
            kept until the user asks to refit).
            The kind "joined" is that of `tuwen join` alone, whose state lies in the corpus.
`surveys`   tuple of `table.column` that `prepare` reads: with `corpus.sql` for keys and numbers, with `corpus.scan` for
            texts, which come in any order.
`adds`      "pairs": the call makes new pairs instead of columns. `writes` is `DERIVED`, and the call returns any number
            of rows per row of the batch: texts for the image of that row. Document, image, position and region are
            that row's, the text's source is `generated:` and the stage's name. The table is `pairs`, and only
            original pairs are handed over, so nothing is made from what was made. Rows that a stage added stay,
            like those that a source brought.
`cached`    True: the call takes `cache=`, a folder of the corpus for what must not be paid for twice (None: keep none).
            It may be deleted at any time: the stage must write the same without it.
`model_hash` method that gives a digest of the files (a model, a list, a folder) that the stage reads: part of the
            column's freshness.

An exception in a call is caught by the engine, which narrows the batch to the rows that cause it and writes the
error's name for those rows in `<stage>_error` (`text.language` → `text_language_error`). A stage that knows what is
wrong with a row raises nothing: it writes nulls, or an error column of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from tuwen.parts import load_class, name_of, names_in

DERIVED = pa.schema(
    [
        ("row", pa.int32()),  # place in the batch of the pair whose image the text is for
        ("text", pa.string()),
        ("derived_from", pa.list_(pa.string())),  # pair ids that the text came from, besides that pair's own
    ]
)


@runtime_checkable
class Stage(Protocol):
    """What every stage has. See the module's text for the optional attributes."""

    table: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[pa.Schema]

    __call__: Callable[..., pa.RecordBatch]


def error_column(stage: Stage) -> str:
    """Name of the column that holds the error of the rows that this stage failed on; null elsewhere."""
    return f"{name_of(stage).replace('.', '_').replace(':', '_')}_error"


def adds_rows(stage: Stage) -> bool:
    """Whether the stage makes new rows instead of columns."""
    return option(stage, "adds") is not None


def stage_that_writes(table: str, column: str) -> str | None:
    """Name of the shipped stage that writes a column (or `this or that`), to say in an error what is missing."""
    classes: dict[str, Any] = {name: load_class(__name__, name) for name in names_in(__name__)}
    found = [
        name
        for name, cls in classes.items()
        if cls.table == table and not adds_rows(cls) and column in cls.writes.names
    ]
    return " or ".join(found) or None


def kind_of(stage: Stage) -> str:
    """local, corpus or fitted."""
    return str(getattr(stage, "kind", "local"))


def option(stage: Stage, name: str, default: Any = None) -> Any:
    """An optional attribute of the contract."""
    return getattr(stage, name, default)
