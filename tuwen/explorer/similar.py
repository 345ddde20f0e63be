"""More like this: by the vectors of a model where there are some, else by perceptual hashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.indexes import index_state
from tuwen.corpus.tables import digest
from tuwen.engine.search_rankings import Neighbours
from tuwen.engine.search_vectors import vector_column
from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.scan import RowTest
from tuwen.explorer.snapshot import Snapshot
from tuwen.explorer.view import View
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import UNITS

HASH = "perceptual_hash"
MANY = 500  # rows whose values are faster taken from a whole column in memory
MAX_UPLOADS = 20  # dropped pictures that are kept
MAX_BITS = 12  # in how many of 64 bits hashes of images differ that people may call alike


def most_similar(
    snapshot: Snapshot, view: View, uploads: Path, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str], bool]:
    """Rows of the view's unit that are most like an image of the corpus or a picture that was dropped: rows, scores
    (cosine, or the share of equal bits of perceptual hashes), notes, and whether these are all. The image itself is not
    among them."""
    asked = _asked(snapshot, view)
    by_vectors = _by_vectors(snapshot, asked, k) if asked >= 0 else None
    if by_vectors is not None:
        images, scores, notes = by_vectors
    else:
        images, scores, notes = _by_hash(snapshot, asked, view, uploads, k)
    complete = len(images) <= k
    keep = images != asked
    images, scores = images[keep], scores[keep]
    if view.unit == "pair":
        of_image = snapshot.pairs_of("image", images)
        scores = np.repeat(scores, [len(pairs) for pairs in of_image])
        images = np.concatenate([np.empty(0, np.int64), *of_image])
    keep = admitted(snapshot, view.unit, view.rule, images)
    images, scores = images[keep], scores[keep]
    return images[:k], scores[:k], notes, complete and len(images) <= k


def _asked(snapshot: Snapshot, view: View) -> int:
    """The row of the image that others should be like; -1 where it is a picture that the corpus does not have."""
    id_ = view.like or view.image
    row = int(snapshot.rows_of("image", [id_])[0])
    if row < 0 and view.like:
        pair = int(snapshot.rows_of("pair", [id_])[0])
        row = int(snapshot.link("image")[pair]) if pair >= 0 and snapshot.is_linked("image") else -1
        if row < 0:
            raise UsageError(f"{id_} is no image of this corpus, and no pair that has one")
    return row


def _by_vectors(
    snapshot: Snapshot, row: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]] | None:
    try:
        vectors = vector_column(snapshot.corpus, None)
    except UsageError:
        return None  # no model has seen the images
    if vectors.table != "images":
        return None
    own = snapshot.take("image", [row], [vectors.column])[vectors.column].combine_chunks()
    if own.null_count:
        return None
    query = np.asarray(own.values.to_numpy(zero_copy_only=False), np.float32)
    index = index_state(snapshot.corpus.dataset("images"), "images", vectors.column)
    ranking = Neighbours(snapshot.corpus, vectors, index, query / max(float(np.linalg.norm(query)), 1e-12))
    best = ranking.found(4 * k).best(k + 1)
    rows = snapshot.rows_of("image", [key for key, _ in best])
    note = ranking.note()
    return rows, np.array([score for _, score in best]), [note] if note else []


def _by_hash(
    snapshot: Snapshot, row: int, view: View, uploads: Path, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    if HASH not in snapshot.columns["image"]:
        raise UsageError(
            "images have neither vectors nor perceptual hashes to compare; add the stage image.perceptual_hash to the "
            "recipe and run tuwen build"
        )
    column = snapshot.column("image", HASH)
    hashes = snapshot.whole(column)
    if row >= 0:
        own = snapshot.take("image", [row], [HASH])[HASH][0].as_py()
    else:
        own = _hash_of(uploads / view.image)
    if own is None:
        note = "This picture could not be decoded, so nothing is known to be like it."
        return np.empty(0, np.int64), np.empty(0), [note]
    known = hashes.is_valid().to_numpy(zero_copy_only=False)
    bits = np.bitwise_count(np.asarray(hashes.fill_null(0).to_numpy(zero_copy_only=False)) ^ np.uint64(own))
    bits = np.where(known, bits, 255)
    near = np.flatnonzero(bits <= MAX_BITS)
    order = near[np.lexsort([near, bits[near]])][: k + 1]
    note = f"Compared by perceptual hash: up to {MAX_BITS} of 64 bits differ. Vectors of a model would find more."
    return order.astype(np.int64), 1 - bits[order] / 64, [note]


def _hash_of(file: Path) -> int | None:
    """The perceptual hash of a picture that was dropped; None where it cannot be decoded."""
    from tuwen.stages.image.perceptual_hash import perceptual_hashes
    from tuwen.stages.image.pixels import decode

    try:
        data = file.read_bytes()
    except OSError:
        raise UsageError("this picture is no longer here; drop it again") from None
    gray = decode(data, 128).gray
    return None if gray is None else int(perceptual_hashes([gray])[0])


def keep_upload(uploads: Path, data: bytes) -> str:
    """Keep a picture that was dropped, and the latest others; returns the id that it has, or would have, in the
    corpus."""
    id_ = digest(data)
    try:
        uploads.mkdir(parents=True, exist_ok=True)
        (uploads / id_).write_bytes(data)
        dropped = sorted(uploads.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in dropped[MAX_UPLOADS:]:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise TuwenError(f"the picture cannot be kept in {uploads}: {error.strerror}") from error
    return id_


def admitted(snapshot: Snapshot, unit: str, rule: Expression | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some rows a rule is true for."""
    names = list(rule.columns()) if rule is not None else []
    if rule is None or not names or not len(rows):
        return np.ones(len(rows), bool)
    columns = [snapshot.column(unit, name) for name in names]
    held = [each for each in columns if len(rows) >= MANY and each.table != "pairs" and each.table == UNITS[unit]]
    held = [each for each in held if not snapshot.is_large(each)]
    taken = snapshot.take(unit, rows, [each.name for each in columns if each not in held])
    at = pa.array(rows)
    values = {each.name: snapshot.whole(each).take(at) if each in held else taken[each.name] for each in columns}
    return RowTest(rule)(pa.table(values))
