"""Where `why` looks rows up, for a person who waits: by the snapshot's indexes instead of scans."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.keys import save_array
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES, digest
from tuwen.explorer.snapshot import CHUNK_ROWS, Snapshot
from tuwen.selections.ledger import Ledger
from tuwen.selections.places import Places
from tuwen.selections.selection import UNITS, Selection

SHOWN_IN = {"documents": "image_ids", "fetches": "image_id"}
"""Tables whose rows name images, and the column that does."""


class IndexedPlaces(Places):
    """The same answers as `Places`, at the cost of reading the rows that were asked for.

    The first question after rows were added prepares what it needs (`NotReadyError` until that is done).
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot.corpus)
        self._snapshot = snapshot

    def starting_with(self, unit: str, prefix: str) -> list[str]:
        return sorted(self._ids(unit, self._snapshot.index(unit).starting_with(prefix)))

    def rows(self, unit: str, ids: Collection[str], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        table = UNITS[unit]
        if columns is None:
            columns = [name for name in self.corpus.dataset(table).schema.names if name not in TABLES[table].blobs]
        wanted = sorted(set(ids))
        places = self._snapshot.rows_of(unit, wanted)
        return list(self._snapshot.taken(table, places[places >= 0], columns).to_pylist())

    def pairs_of(self, unit: str, row_id: str) -> list[str]:
        place = self._snapshot.rows_of(unit, [row_id])
        if not self._snapshot.is_linked(unit) or place[0] < 0:
            return super().pairs_of(unit, row_id) if place[0] >= 0 else []
        return sorted(self._ids("pair", self._snapshot.pairs_of(unit, place)[0]))

    def documents_of(self, image_id: str) -> list[str]:
        if "image_ids" in self.corpus.columns("documents"):
            return sorted(self._ids("document", self._naming("documents", image_id)))
        found = self.rows("pair", self.pairs_of("image", image_id), ["document_id"])
        return sorted({each["document_id"] for each in found if each["document_id"] is not None})

    def fetches_of(self, image_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        found = self._snapshot.taken("fetches", self._naming("fetches", image_id), [*columns, "fetch_id"]).to_pylist()
        found.sort(key=lambda row: str(row["fetch_id"]))
        return [{name: row[name] for name in columns} for row in found]

    def image(self, image_id: str) -> bytes | None:
        return self._snapshot.picture(image_id)

    def ledger(self, name: str, selections: Mapping[str, Selection]) -> Ledger:
        return self._snapshot.ledger(name)

    def _ids(self, unit: str, rows: NDArray[np.int64]) -> list[str]:
        key = TABLES[UNITS[unit]].key
        return list(self._snapshot.taken(UNITS[unit], rows, [key])[key].to_pylist())

    # Rows that name an image ------------------------------------------------------------------------------------

    def _naming(self, table: str, image_id: str) -> NDArray[np.int64]:
        """Rows of documents or fetches that name an image, ascending."""
        image = int(self._snapshot.rows_of("image", [image_id])[0])
        if image < 0:
            return np.empty(0, np.int64)
        key = ("naming", table, *self._snapshot.version.values())
        links: NDArray[np.uint64] = self._snapshot.prepared.get(
            key, f"which of the {table} show which image", lambda: self._links(table)
        )
        first, behind = np.searchsorted(links, np.array([image, image + 1], np.uint64) << np.uint64(32))
        return (links[first:behind] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def _links(self, table: str) -> NDArray[np.uint64]:
        """Row of the image in the upper half, row of the table in the lower one, ascending: 8 bytes a link, on disk."""
        content = self.corpus.content(table, SHOWN_IN[table])
        digests = digest(self._snapshot.rows_digest(table), self._snapshot.rows_digest("images"), content)
        file = self._snapshot.folder / f"{table}-image-{digests}.npy"
        if not file.exists():
            index, pieces, start = self._snapshot.index("image"), [np.empty(0, np.uint64)], 0
            for batch in scan_dataset(self.corpus.dataset(table), [SHOWN_IN[table]], rows=CHUNK_ROWS):
                pieces.append(_packed(index.rows, batch.column(0), start))
                start += batch.num_rows
            made = np.concatenate(pieces)
            made.sort()
            try:
                self._snapshot.folder.mkdir(parents=True, exist_ok=True)
                save_array(file, made)
            except OSError:
                return made
        return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]


def _packed(rows_of: Callable[[pa.Array], NDArray[np.int64]], column: pa.Array, start: int) -> NDArray[np.uint64]:
    own = np.arange(start, start + len(column), dtype=np.uint64)
    if pa.types.is_list(column.type):
        own, column = own[pc.list_parent_indices(column).to_numpy()], column.flatten()
    images = rows_of(column)
    known = images >= 0
    return np.unique(images[known].astype(np.uint64) << np.uint64(32) | own[known])
