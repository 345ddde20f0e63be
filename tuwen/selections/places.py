"""Where `why` looks rows up. The explorer, which knows where rows lie, has a faster one of the same methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import UNITS, Selection
from tuwen.selections.tree import literal


class Places:
    """Rows of a corpus by their ids and by what they belong to, found by filters over whole tables.

    That costs a scan for each question and needs nothing prepared, which is right for one question. Ids come sorted
    and each once, rows in the order of their ids; what is unknown is left out.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def starting_with(self, unit: str, prefix: str) -> list[str]:
        """Ids that start with hexadecimal digits."""
        key = TABLES[UNITS[unit]].key
        return sorted(self._column(UNITS[unit], key, f"{key} >= '{prefix}' AND {key} < '{prefix}g'"))

    def rows(self, unit: str, ids: Collection[str], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Columns (default: all but image bytes) of rows."""
        if not ids:
            return []
        table = UNITS[unit]
        key = TABLES[table].key
        return self._rows(table, f"{key} IN ({', '.join(map(literal, ids))})", columns)

    def pairs_of(self, unit: str, row_id: str) -> list[str]:
        """Pairs of an image or a document."""
        link = f"{unit}_id"
        if link not in self.corpus.columns("pairs"):
            return []
        return sorted(self._column("pairs", "pair_id", f"{link} = {literal(row_id)}"))

    def documents_of(self, image_id: str) -> list[str]:
        """Documents that show an image, or, where nobody has resolved what they show, whose pairs name it."""
        if "image_ids" in self.corpus.columns("documents"):
            return sorted(self._column("documents", "document_id", f"array_has(image_ids, {literal(image_id)})"))
        if "image_id" not in self.corpus.columns("pairs"):
            return []
        found = self._column("pairs", "document_id", f"image_id = {literal(image_id)}")
        return sorted({each for each in found if each is not None})

    def fetches_of(self, image_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Fetches that brought an image."""
        return self._rows("fetches", f"image_id = {literal(image_id)}", columns)

    def image(self, image_id: str) -> bytes | None:
        """Original bytes of an image."""
        return self.corpus.images([image_id])[0]

    def location(self, source_unit: str | None) -> str | None:
        """Where a unit was read from."""
        if source_unit is None:
            return None
        found = self._rows("units", f"source_unit = {literal(source_unit)}", ["source_unit", "location"])
        return found[0]["location"] if found else None

    def ledger(self, name: str, selections: Mapping[str, Selection]) -> Ledger:
        """A selection's verdicts, judged where they are out of date."""
        return Ledger.open_or_judge(self.corpus, name, selections)

    def _column(self, table: str, column: str, where: str) -> list[Any]:
        return list(self.corpus.table(table, [column], where)[column].to_pylist())

    def _rows(self, table: str, where: str, columns: Sequence[str] | None) -> list[dict[str, Any]]:
        key = TABLES[table].key
        wanted = columns if columns is None or key in columns else [*columns, key]
        rows: list[dict[str, Any]] = self.corpus.table(table, wanted, where).to_pylist()
        rows.sort(key=lambda row: str(row[key]))
        return rows if columns is None else [{name: row[name] for name in columns} for row in rows]
