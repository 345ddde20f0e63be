"""Near-duplicates: the groups that stages found, and whatever is near one image by its perceptual hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES
from tuwen.errors import UsageError
from tuwen.explorer.cards import Card, cards
from tuwen.explorer.similar import HASH, MAX_BITS
from tuwen.explorer.snapshot import CHUNK_ROWS, Snapshot
from tuwen.selections.selection import UNITS
from tuwen.stages.dedup.shingles import shingle

CLUSTER, SIZE = "_cluster", "_cluster_size"
GROUPS, MEMBERS = 12, 8  # groups on a page, members of each that are shown
NGRAM = 2  # words in a run
VECTORS = "embedding"
SHARED, BITS, COSINE = "words", "bits", "cosine"


@dataclass(frozen=True)
class Column:
    """A column of clusters, and the one of their sizes beside it."""

    unit: str
    name: str
    size: str
    stage: str | None


@dataclass(frozen=True)
class Member:
    """A row of a group. `distance`: from the first of it, as `measure` says: bits of 64 that differ, cosine, or the
    share of words in common (`None`: not known)."""

    row: int
    distance: float | None
    measure: str | None


@dataclass(frozen=True)
class Group:
    """A group: the id that names it, how many rows it has, and the first of them with their cards."""

    name: str
    size: int
    members: list[tuple[Card, Member]]


def cluster_columns(snapshot: Snapshot) -> list[Column]:
    """All columns of clusters, images first."""
    return [
        Column(unit, name, name + "_size", column.stage)
        for unit in ("image", "pair", "document")
        for name, column in snapshot.columns[unit].items()
        if name.endswith(CLUSTER) and column.table == UNITS[unit] and column.kind == "text"
        and name + "_size" in snapshot.columns[unit]
    ]  # fmt: skip


class Groups:
    """Groups of a column by their sizes: rows of one group stand side by side, the largest group first.

    4 bytes for each row of a group and 8 for each group.
    """

    def __init__(self, rows: NDArray[np.int32], starts: NDArray[np.int64]) -> None:
        self._rows, self._starts = rows, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def num_rows(self) -> int:
        """Rows in all groups."""
        return len(self._rows)

    def rows(self, number: int) -> NDArray[np.int64]:
        """Rows of a group, the one that names it first."""
        return self._rows[self._starts[number] : self._starts[number + 1]].astype(np.int64)


def groups(snapshot: Snapshot, column: Column) -> Groups:
    """The groups of a column, without rows that were taken down."""
    key = ("groups", column.unit, column.name, *snapshot.version.values())
    made: Groups = snapshot.prepared.get(key, f"the groups of {column.name}", lambda: _groups(snapshot, column))
    return made


def _groups(snapshot: Snapshot, column: Column) -> Groups:
    index, table = snapshot.index(column.unit), UNITS[column.unit]
    wanted = [TABLES[table].key, column.name]
    rows, named = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for batch in scan_dataset(snapshot.corpus.dataset(table), wanted, f"{column.size} > 1", CHUNK_ROWS):
        rows.append(index.rows(batch.column(0)).astype(np.int32))
        named.append(index.rows(batch.column(1)).astype(np.int32))
    own, cluster = np.concatenate(rows), np.concatenate(named)
    gone = snapshot.gone(column.unit)
    known = (cluster >= 0) & (~gone[own] if gone is not None else True)
    own, cluster = own[known], cluster[known]
    _, places, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    order = np.lexsort([own, own != cluster, cluster, -sizes[places]])
    order = order[sizes[places[order]] > 1]
    ends = np.flatnonzero(np.diff(cluster[order], append=-1))
    return Groups(own[order], np.concatenate([[0], ends + 1]))


def page_of(snapshot: Snapshot, column: Column, first: int) -> list[Group]:
    """Some groups, each with its first members."""
    found = groups(snapshot, column)
    return [_group(snapshot, column, found.rows(number)) for number in range(first, min(first + GROUPS, len(found)))]


def _group(snapshot: Snapshot, column: Column, rows: NDArray[np.int64]) -> Group:
    name = str(snapshot.take(column.unit, rows[:1], [column.name])[column.name][0].as_py())
    shown = rows[:MEMBERS]
    members = measured(snapshot, column, shown)
    return Group(name, len(rows), list(zip(cards(snapshot, column.unit, shown), members, strict=True)))


def measured(snapshot: Snapshot, column: Column, rows: NDArray[np.int64]) -> list[Member]:
    """How far rows are from the first of them, in what their stage compares: vectors, hashes, or words of texts."""
    known = snapshot.columns[column.unit]
    if column.name == "semantic_cluster" and VECTORS in known:
        vectors = snapshot.take(column.unit, rows, [VECTORS])[VECTORS].to_pylist()
        return [Member(int(row), cosine(vectors[0], each), COSINE) for row, each in zip(rows, vectors, strict=True)]
    if column.unit == "image" and HASH in known:
        hashes = snapshot.take("image", rows, [HASH])[HASH].to_pylist()
        return [Member(int(row), _bits(hashes[0], each), BITS) for row, each in zip(rows, hashes, strict=True)]
    if column.unit == "pair":
        texts = snapshot.take("pair", rows, ["text"])["text"].combine_chunks()
        return [Member(int(row), share, SHARED) for row, share in zip(rows, shares(texts), strict=True)]
    return [Member(int(row), None, None) for row in rows]


def _bits(left: int | None, right: int | None) -> float | None:
    return None if left is None or right is None else (left ^ right).bit_count()


def cosine(left: Sequence[float] | None, right: Sequence[float] | None) -> float | None:
    """Cosine of two vectors."""
    if left is None or right is None:
        return None
    one, other = np.asarray(left, np.float32), np.asarray(right, np.float32)
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def shares(texts: pa.Array) -> list[float]:
    """Jaccard similarity of each text with the first one, over runs of words as `dedup.text` compares them."""
    sets: list[set[int]] = []
    for block in shingle(texts.cast(pa.string()).fill_null(""), NGRAM):
        ends = zip(block.starts.tolist(), block.starts[1:].tolist(), strict=False)
        sets += [set(block.shingles[start:end].tolist()) for start, end in ends]
    return [len(sets[0] & each) / max(len(sets[0] | each), 1) if sets[0] | each else 1.0 for each in sets]


def near_by_hash(snapshot: Snapshot, image_row: int, most: int) -> list[Member]:
    """Images whose perceptual hashes are nearest to that of an image, itself first; none where it has no hash."""
    if HASH not in snapshot.columns["image"]:
        raise UsageError("images have no perceptual hashes; add the stage image.perceptual_hash and run tuwen build")
    own = snapshot.take("image", [image_row], [HASH])[HASH][0].as_py()
    if own is None:
        return []
    hashes = snapshot.whole(snapshot.column("image", HASH))
    bits = np.bitwise_count(np.asarray(pc.fill_null(hashes, 0)) ^ np.uint64(own)).astype(np.int16)
    bits[np.asarray(pc.is_null(hashes))] = 255
    gone = snapshot.gone("image")
    if gone is not None:
        bits[gone] = 255
    near = np.flatnonzero(bits <= MAX_BITS)
    order = near[np.lexsort([near, near != image_row, bits[near]])][:most]
    return [Member(int(row), float(bits[row]), BITS) for row in order]
