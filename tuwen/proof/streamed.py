"""Examples that stay in their files: images are decoded when a batch is taken, in processes ahead of training."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.engine.local import Workers
from tuwen.errors import UsageError
from tuwen.models.columns import Chosen, Columns
from tuwen.models.features import Batch
from tuwen.proof.index import Index, IndexColumn, rows_of
from tuwen.stages.image.pixels import decode

CACHE_BYTES = 16 << 30
"""Decoded images are kept in a file, which is read again in later epochs, where all of them together are no larger, nor
take more than half of the disk's free space."""
WAITING_BYTES = 256 << 20
"""Where there is no such file: decoded images that wait in memory to be read."""
TOKENIZER_TEXTS = 200_000
"""Of more examples every so many-th gives its texts to learn a tokenizer from."""
LEAST_IMAGES = 32
"""Of a batch, what is decoded as one task; smaller ones would cost more to send than to decode."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoding:
    """Images to decode in another process: of example `rows[n]`, `num_bytes[n]` from `offsets[n]` of `files[n]`."""

    rows: list[int]
    files: list[str]
    offsets: list[int]
    num_bytes: list[int]
    side: int
    crop: bool


def decoded(task: Decoding) -> tuple[list[int], Pixels, dict[int, str]]:
    """Rows, their pixels (N, side, side, 3), and what is wrong with those that do not decode (black here)."""
    pixels = np.zeros((len(task.rows), task.side, task.side, 3), np.uint8)
    broken = {}
    for place, (row, path) in enumerate(zip(task.rows, task.files, strict=True)):
        try:
            with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  (three times as quick)
                data = os.pread(stream.fileno(), task.num_bytes[place], task.offsets[place])
        except OSError as error:
            broken[row] = error.strerror or type(error).__name__
            continue
        image = decode(data, task.side)
        if image.image is None:
            broken[row] = str(image.error)
        else:
            pixels[place] = fitted(image.image, task.side, task.crop)
    return task.rows, pixels, broken


def fitted(image: Any, side: int, crop: bool) -> Pixels:
    """A square of `side` pixels, bicubic: the whole image squeezed into it, or its middle cut out."""
    from PIL import Image

    if not crop:
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


class StreamedImages:
    """uint8 (N, side, side, 3), decoded when they are read; an image that does not decode is black.

    `broken`: rows that did not decode so far, and why.
    """

    def __init__(self, index: Index, side: int, crop: bool, cache: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.shape = (len(index), side, side, 3)
        self.dtype, self.ndim = np.dtype(np.uint8), 4
        self.broken: dict[int, str] = {}
        self._index, self._side, self._crop = index, side, crop
        self._is_kept = np.zeros(len(index), dtype=bool)
        self._row_bytes = side * side * 3
        self._waiting: dict[int, Pixels] = {}
        self._cache: Any = None
        num_bytes = len(index) * self._row_bytes
        if num_bytes <= min(cache_bytes, shutil.disk_usage(cache.parent).free // 2):
            self._cache = cache.open("w+b", buffering=0)  # of an earlier run it may hold half-written images
            cache.unlink()  # it goes with this process, however that ends

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Pixels]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        return self._read(np.arange(len(self), dtype=np.int64)).astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows: Any) -> Any:
        """`[:]` is the column itself: who wants all images takes them in batches, or asks numpy for an array."""
        if isinstance(rows, int | np.integer):
            return self._read(rows_of([rows], len(self)))[0]
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return self._read(rows_of(rows, len(self)))

    def decoding(self, rows: NDArray[np.int64]) -> Decoding:
        """The task for those of the rows that are not known yet."""
        new = [row for row in rows.tolist() if not self._is_known(row)]
        numbers = np.array(new, dtype=np.int64)
        files = [self._index.files[file] for file in self._index.values("file", numbers)]
        offsets, sizes = (self._index.values(name, numbers) for name in ("offset", "num_bytes"))
        return Decoding(new, files, offsets, sizes, self._side, self._crop)

    def keep(self, rows: Sequence[int], pixels: Pixels, broken: dict[int, str]) -> None:
        """What `decoded` gave."""
        self.broken.update(broken)
        for row, values in zip(rows, pixels, strict=True):
            if row not in self.broken:
                self._keep(row, values)

    def forget(self) -> None:
        """Those that wait longest, beyond `WAITING_BYTES`: they are decoded again when they are read again."""
        while len(self._waiting) * self._row_bytes > WAITING_BYTES:
            del self._waiting[next(iter(self._waiting))]

    def _keep(self, row: int, values: Pixels) -> None:
        if self._cache is not None:
            try:
                os.pwrite(self._cache.fileno(), values.tobytes(), row * self._row_bytes)
                self._is_kept[row] = True
                return
            except OSError:  # the disk is full: it goes on without
                self._cache.close()
                self._cache = None
                self._is_kept[:] = False
        self._waiting[row] = values

    def _is_known(self, row: int) -> bool:
        return bool(self._is_kept[row]) or row in self.broken or row in self._waiting

    def _read(self, rows: NDArray[np.int64]) -> Pixels:
        task = self.decoding(rows)
        if task.rows:
            self.keep(*decoded(task))
        found = np.zeros((len(rows), *self.shape[1:]), np.uint8)
        for place, row in enumerate(rows.tolist()):
            if self._is_kept[row]:
                os.preadv(self._cache.fileno(), [found[place].data], row * self._row_bytes)
            elif row not in self.broken:
                found[place] = self._waiting[row]
        self.forget()
        return found


class Streamed(Columns):
    """Columns `image`, `text`, `texts` and what else the index has. Of memory they take some bytes an example.

    `take` puts the next example that decodes in the place of one that does not, so a batch has the size that was asked
    for, by the rows alone: neither `workers` nor what was read before changes a value. `rows`: of the index, those that
    these columns hold.
    """

    def __init__(
        self,
        index: Index,
        side: int,
        *,
        crop: bool = False,
        workers: int = 1,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.index, self.workers = index, workers
        self.images = StreamedImages(index, side, crop, index.folder / f"pixels-{os.getpid()}", cache_bytes)
        self.rows = np.arange(len(index), dtype=np.int64)
        names = ("text", "texts", *index.more)
        super().__init__(image=self.images, **{name: IndexColumn(index, name) for name in names})

    def subset(self, rows: NDArray[np.int64] | Sequence[int]) -> Streamed:
        """The same columns of these rows; nothing is read for this."""
        return self._with(super().subset(rows), self.rows[np.asarray(rows, np.int64)])

    def with_columns(self, **columns: Any) -> Columns:
        """With more columns, or others in their place; other images are no longer streamed."""
        found = super().with_columns(**columns)
        return found if "image" in columns else self._with(found, self.rows)

    def _with(self, columns: Columns, rows: NDArray[np.int64]) -> Streamed:
        found = copy(self)
        Columns.__init__(found, **columns)
        found.rows = rows
        return found

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Batch:
        """These rows, in this order, broken ones replaced."""
        chosen = rows_of(rows, self.num_rows)
        pixels = self.images[self.rows[chosen]]
        for place, row in enumerate(self.rows[chosen].tolist()):
            if row in self.images.broken:
                chosen[place] = self._next(int(chosen[place]))
                pixels[place] = self.images[int(self.rows[chosen[place]])]
        others = Columns(**{name: values for name, values in self.items() if name != "image"})
        return {"image": pixels, **others.take(chosen)}

    def _next(self, row: int) -> int:
        for step in range(1, self.num_rows):
            other = (row + step) % self.num_rows
            _ = self.images[int(self.rows[other])]
            if int(self.rows[other]) not in self.images.broken:
                return other
        raise UsageError(f"none of the {self.num_rows} images decodes: {', '.join(set(self.images.broken.values()))}")

    def batches(self, order: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """`take` of each of these rows, their images decoded by worker processes ahead, about a batch or a few."""
        waiting: deque[tuple[NDArray[np.int64], int]] = deque()

        def tasks() -> Iterator[Decoding]:
            for rows in order:
                parts = max(1, min(self.workers, len(rows) // LEAST_IMAGES))  # large batches are shared out
                waiting.append((rows, parts))
                yield from map(self.images.decoding, np.array_split(self.rows[rows], parts))

        num_done = 0
        with Workers(self.workers) as pool:
            for found in pool.ordered(decoded, tasks()):
                self.images.keep(*found)
                num_done += 1
                if num_done == waiting[0][1]:
                    yield self.take(waiting.popleft()[0])
                    num_done = 0

    def sound(self, batch: int = 256) -> Streamed:
        """Only the examples whose images decode: all are decoded once. For evaluations, which count each."""
        starts = range(0, self.num_rows, batch)
        parts = (self.rows[start : start + batch] for start in starts)
        with Workers(min(self.workers, len(starts))) as pool:
            for found in pool.ordered(decoded, map(self.images.decoding, parts)):
                self.images.keep(*found)
                self.images.forget()
        if not self.images.broken:
            return self
        return self.subset(np.flatnonzero(~np.isin(self.rows, list(self.images.broken))))

    @property
    def texts(self) -> list[str]:
        """Texts of all examples, or of `TOKENIZER_TEXTS` evenly spaced ones."""
        step = -(-self.num_rows // TOKENIZER_TEXTS)
        rows = np.arange(0, self.num_rows, step, dtype=np.int64)
        return [text for texts in self["texts"][rows] for text in texts]

    @property
    def digest(self) -> str:
        """Of images, texts and which of them these are."""
        return hashlib.sha256(self.index.digest.encode() + self.rows.tobytes()).hexdigest()[:32]

    def image_digests(self) -> Iterator[bytes]:
        """By which equal images are known, row by row; nothing is decoded."""
        return iter(Chosen(IndexColumn(self.index, "digest"), self.rows))


def shared_images(one: Streamed, other: Streamed) -> int:
    """How many images of `other` are among those of `one`, to the byte."""
    wanted = set(other.image_digests())
    return len({found for found in one.image_digests() if found in wanted})
