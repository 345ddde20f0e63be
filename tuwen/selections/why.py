"""One row's whole life: where it came from, every column with the stage that wrote it, and what each selection said."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import ID_CHARACTERS, TABLES
from tuwen.errors import UsageError
from tuwen.selections.ledger import Ledger, LedgerRow
from tuwen.selections.life import Cell, Life, Relation, Verdict
from tuwen.selections.life import render as render
from tuwen.selections.selection import UNITS, Selection, selections_of
from tuwen.selections.steps import WITHIN
from tuwen.selections.tree import literal

MIN_PREFIX = 4
SHOWN = 20  # pages, fetches and texts listed; `num_*` counts them all


def why(corpus: Corpus, row_id: str, selections: Mapping[str, Selection] | None = None) -> Life:
    """The life of the row with this id, or with the only id that starts so (4 characters and more).

    `selections`: default, those of the corpus' recipe; what is stale is judged first. `UsageError` where no id or more
    than one fits.
    """
    kind, key = find(corpus, row_id)
    table = UNITS[kind]
    row = _rows(corpus, table, f"{TABLES[table].key} = {literal(key)}")[0]
    selections = selections_of(corpus) if selections is None else selections
    judge = _Judge(corpus, selections)
    verdicts = [judge.verdicts(name, [key])[0] for name, each in selections.items() if each.unit == kind]
    relations = [
        judge.relation(name, _related(corpus, kind, row, each.unit))
        for name, each in selections.items()
        if each.unit != kind
    ]
    return Life(kind, key, _origin(corpus, kind, row), _cells(corpus, table, row), tuple(verdicts), tuple(relations))


def find(corpus: Corpus, row_id: str) -> tuple[str, str]:
    """(unit, whole id) of the only image, pair or document whose id starts with `row_id`."""
    prefix = row_id.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},{ID_CHARACTERS}}}", prefix):
        raise UsageError(
            f"{row_id!r} is no id: give {MIN_PREFIX} to {ID_CHARACTERS} of its hexadecimal digits, as `sha256sum` of "
            "an image file or the ids of a release show them"
        )
    found = []
    for unit, table in UNITS.items():
        key = TABLES[table].key
        ids = corpus.table(table, [key], f"{key} >= '{prefix}' AND {key} < '{prefix}g'")[key].to_pylist()
        found += [(unit, each) for each in sorted(ids)]
    if not found:
        raise UsageError(f"no image, pair or document of {corpus.path} has an id that starts with {prefix}")
    if len(found) > 1:
        listed = ", ".join(f"{unit} {each}" for unit, each in found[:10])
        raise UsageError(f"{prefix} is the start of {len(found)} ids; give more of it: {listed}")
    return found[0]


class _Judge:
    """Verdicts from ledgers, each opened once."""

    def __init__(self, corpus: Corpus, selections: Mapping[str, Selection]) -> None:
        self._corpus = corpus
        self._selections = selections
        self._ledgers: dict[str, Ledger] = {}

    def _ledger(self, name: str) -> Ledger:
        if name not in self._ledgers:
            self._ledgers[name] = Ledger.open_or_judge(self._corpus, name, self._selections)
        return self._ledgers[name]

    def verdicts(self, name: str, ids: Sequence[str]) -> list[Verdict]:
        """What a selection said of rows of its own unit, in the order of the ids; unknown ids are left out."""
        found = self._ledger(name).rows(ids)
        return [self._verdict(self._selections[name], found[each]) for each in ids if each in found]

    def _verdict(self, selection: Selection, row: LedgerRow) -> Verdict:
        because = None
        if row.step:
            reads = selection.steps[row.step - 1].step.reads
            inner = next((name.removeprefix(WITHIN) for name in reads if name.startswith(WITHIN)), None)
            because = self._because(selection, row.id, inner) if inner else None
        return Verdict(
            selection.name, selection.unit, row.id, row.kept, row.step, row.name, row.rule, row.value, because
        )

    def _because(self, selection: Selection, row_id: str, inner: str) -> Verdict | None:
        """The inner selection's word on what the row belongs to: the first of them, if they are many."""
        row = _rows(self._corpus, selection.table, f"{TABLES[selection.table].key} = {literal(row_id)}")[0]
        unit = self._selections[inner].unit
        related = [row_id] if unit == selection.unit else _related(self._corpus, selection.unit, row, unit)
        return next(iter(self.verdicts(inner, related[:1])), None)

    def relation(self, name: str, ids: Sequence[str]) -> Relation:
        """What a selection of another unit keeps of `ids`."""
        unit = self._selections[name].unit
        found = self._ledger(name).rows(ids)
        first = sorted(found.values(), key=lambda row: (not row.kept, row.id))[:5]
        verdicts = tuple(self._verdict(self._selections[name], row) for row in first)
        steps = sorted((row.step, row.name or "takedown") for row in found.values() if row.step is not None)
        refused = {step: sum(1 for _ in group) for (_, step), group in itertools.groupby(steps)}
        return Relation(name, unit, len(found), len(found) - len(steps), verdicts, refused)


def _related(corpus: Corpus, kind: str, row: Mapping[str, Any], unit: str) -> list[str]:
    """Ids of the rows of `unit` that belong to this row, sorted, each once."""
    found: list[str | None]
    if kind == "pair":
        found = [row.get("image_id" if unit == "image" else "document_id")]
    elif kind == "document" and unit == "image":
        found = list(row.get("image_ids") or [])
    elif kind == "document":
        found = [*_column(corpus, "pairs", "pair_id", f"document_id = {literal(row['document_id'])}")]
    elif unit == "pair":
        found = [*_pairs_of_image(corpus, row["image_id"], "pair_id")]
    else:
        found = [*_documents_of_image(corpus, row["image_id"])]
    return sorted({each for each in found if each is not None})


def _pairs_of_image(corpus: Corpus, image_id: str, column: str) -> list[str]:
    if "image_id" not in corpus.columns("pairs"):
        return []
    return _column(corpus, "pairs", column, f"image_id = {literal(image_id)}")


def _documents_of_image(corpus: Corpus, image_id: str) -> list[str]:
    if "image_ids" not in corpus.columns("documents"):
        return sorted(set(_pairs_of_image(corpus, image_id, "document_id")))
    return _column(corpus, "documents", "document_id", f"array_has(image_ids, {literal(image_id)})")


def _column(corpus: Corpus, table: str, column: str, where: str) -> list[str]:
    return list(corpus.table(table, [column], where)[column].to_pylist())


def _rows(
    corpus: Corpus, table: str, where: str, columns: Sequence[str] | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = corpus.table(table, columns, where).to_pylist()
    rows.sort(key=lambda row: str(row.get(TABLES[table].key)))
    return rows[:limit]


def _cells(corpus: Corpus, table: str, row: Mapping[str, Any]) -> tuple[Cell, ...]:
    cells = []
    schema = corpus.schema(table)
    for name, stage in corpus.columns(table).items():
        value = row.get(name)
        if name in TABLES[table].blobs:
            data = corpus.images([row["image_id"]])[0]
            value = None if data is None else {"num_bytes": len(data)}
        elif isinstance(value, float) and pa.types.is_float32(schema.field(name).type):
            value = float(str(np.float32(value)))  # 0.1, not 0.10000000149011612
        cells.append(Cell(name, value, stage))
    return tuple(cells)


def _origin(corpus: Corpus, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    origin = {"source": row["source"], "source_unit": row["source_unit"], "location": None}
    if row["source_unit"] is not None:
        where = f"source_unit = {literal(row['source_unit'])}"
        origin["location"] = next((unit["location"] for unit in _rows(corpus, "units", where, ["location"])), None)
    return {**origin, **{"image": _image_origin, "pair": _pair_origin, "document": _document_origin}[kind](corpus, row)}


_PAGE = ["document_id", "url", "title", "captured_at"]
_FETCH = ["fetch_id", "url", "captured_at", "status", "error", "content_type"]
_TEXT = ["pair_id", "text_source", "text"]


def _image_origin(corpus: Corpus, row: Mapping[str, Any]) -> dict[str, Any]:
    pages = _by_keys(corpus, "documents", _documents_of_image(corpus, row["image_id"]), _PAGE)
    where = f"image_id = {literal(row['image_id'])}"
    fetches = _rows(corpus, "fetches", where, _FETCH)
    texts = _rows(corpus, "pairs", where, _TEXT) if "image_id" in corpus.columns("pairs") else []
    return {
        "has_bytes": corpus.images([row["image_id"]]) != [None],
        "num_texts": len(texts),
        "texts": texts[:SHOWN],
        "num_pages": len(pages),
        "pages": pages[:SHOWN],
        "num_fetches": len(fetches),
        "fetches": fetches[:SHOWN],
    }


def _pair_origin(corpus: Corpus, row: Mapping[str, Any]) -> dict[str, Any]:
    others: list[dict[str, Any]] = []
    if row.get("image_id") is not None:
        where = f"image_id = {literal(row['image_id'])} AND pair_id <> {literal(row['pair_id'])}"
        others = _rows(corpus, "pairs", where, _TEXT)
    return {
        "document": next(iter(_by_keys(corpus, "documents", [row["document_id"]], _PAGE)), None),
        "image": {"image_id": row.get("image_id"), "image_ref": row["image_ref"]},
        "num_other_texts": len(others),
        "other_texts": others[:SHOWN],
    }


def _document_origin(corpus: Corpus, row: Mapping[str, Any]) -> dict[str, Any]:
    nodes = row["nodes"] or []
    images = row.get("image_ids") or [None] * len(nodes)
    shown = [
        {"position": position, "image_ref": node["image_ref"], "image_id": image_id}
        for position, (node, image_id) in enumerate(zip(nodes, images, strict=False))
        if node["image_ref"] is not None
    ]
    return {
        "url": row["url"],
        "captured_at": row["captured_at"],
        "num_images": len(shown),
        "images": shown[:SHOWN],
    }


def _by_keys(corpus: Corpus, table: str, keys: Iterable[str | None], columns: Sequence[str]) -> list[dict[str, Any]]:
    listed = ", ".join(literal(key) for key in keys if key is not None)
    return _rows(corpus, table, f"{TABLES[table].key} IN ({listed})", columns) if listed else []
