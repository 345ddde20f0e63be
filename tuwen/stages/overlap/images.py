"""Copies of evaluation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.stages.image.pixels import decode
from tuwen.stages.overlap.alignment import similarity
from tuwen.stages.overlap.benchmark import benchmark_files, content_hash
from tuwen.stages.overlap.hamming import INDEX, Index
from tuwen.stages.overlap.windows import SIDE, WINDOWS, squares, window_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus
    from tuwen.stages.image.pixels import Decoded

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")
MOST_BITS = 12  # that hashes of one picture may differ in
MOST_CANDIDATES = 6  # images that are compared closely,
MOST_WINDOWS = 6  # from the best of so many windows
STATE = pa.schema(
    [  # one row
        ("names", pa.large_list(pa.string())),
        ("squares", pa.large_binary()),
        ("hashes", pa.large_list(pa.uint64())),  # of all windows of the first image with anything in it, the second, …
        ("images", pa.large_list(pa.uint32())),  # which those images are
        ("windows", INDEX),  # to find a crop of an evaluation image
        ("wholes", INDEX),  # to find an image that an evaluation image is a crop of
    ]
)


@dataclass(frozen=True)
class Images:
    """Which evaluation image an image is a copy of, however it was resized, compressed, turned grey or cropped.

    `evaluation_image`        path, in `folder`, of the benchmark's image that it is a copy of: the most similar one
                              with a similarity of at least `min_similarity`; null where there is none
    `evaluation_image_score`  similarity of the most similar candidate, 0 to 1; 0 without any
    `num_evaluation_images`   images in the folder that it was compared with

    All null where the image could not be decoded. An image that is a crop of the benchmark's, or of which the
    benchmark's is a crop (it has borders, say), is found while the crop keeps 80 % of the area, at any place and in any
    aspect. Mirrored or turned images are not. One of a single colour is a copy of nothing.

    `folder` is searched for image files, at any depth; one that does not decode is an error. 172 windows of each of
    its images are hashed, candidates come from a search in Hamming space, and the closest are compared at the best
    alignment. The state, memory-mapped, has about 8 KB for each image of the folder. Test images do
    leak into training sets, changed in such ways: Barz & Denzler, "Do we train on test data?", 2020. https://arxiv.org/abs/1902.00423

    **Differs from the paper:** pixels are compared, not features of a network, so that no model is needed.
    """

    table = "images"
    kind = "corpus"
    surveys = ()
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema(
        [
            ("evaluation_image", pa.string()),
            ("evaluation_image_score", pa.float32()),
            ("num_evaluation_images", pa.int32()),
        ]
    )

    folder: str
    min_similarity: float = 0.87

    def __post_init__(self) -> None:
        if not 0 < self.min_similarity <= 1:
            raise ValueError(f"min_similarity must lie in (0, 1], got {self.min_similarity}")

    def model_hash(self) -> str:
        return content_hash(self.folder, SUFFIXES, "overlap.images")

    def prepare(self, corpus: Corpus) -> pa.Table:
        files = benchmark_files(self.folder, SUFFIXES, "overlap.images")
        found = np.zeros((len(files), SIDE, SIDE), dtype=np.uint8)
        telling = np.zeros(len(files), dtype=bool)
        for row, path in enumerate(files.values()):
            decoded = decode(path.read_bytes(), self.pixels)
            if decoded.error:
                raise UsageError(
                    f"overlap.images: {str(path)!r} does not decode ({decoded.error}); repair or remove it"
                )
            (found[row],), (telling[row],) = squares([decoded])
        images = np.flatnonzero(telling).astype(np.uint32)
        hashes = np.array([window_hashes(found[row]) for row in images], dtype=np.uint64).reshape(-1, len(WINDOWS))
        indices = [Index.of(hashes.ravel()), Index.of(hashes[:, 0])]
        parts = [{"order": index.order.ravel(), "starts": index.starts.ravel()} for index in indices]
        values: list[Any] = [list(files), found.tobytes(), hashes.ravel(), images, *parts]
        arrays = [pa.array([value], type=field.type) for value, field in zip(values, STATE, strict=True)]
        return pa.Table.from_arrays(arrays, schema=STATE)

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded], state: pa.Table) -> pa.RecordBatch:
        benchmark = _Benchmark(state) if state.num_rows else None
        rows: list[tuple[str | None, float | None, int | None]] = [(None, None, None)] * len(pixels)
        found, telling = squares(pixels)
        for row in np.flatnonzero([decoded.gray is not None for decoded in pixels]):
            name, score = benchmark.most_similar(found[row]) if benchmark and telling[row] else (None, 0.0)
            rows[row] = (
                name if score >= self.min_similarity else None,
                score,
                len(benchmark.names) if benchmark else 0,
            )
        columns = [[row[place] for row in rows] for place in range(3)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.writes, strict=True)]
        return pa.record_batch(arrays, schema=self.writes)


class _Benchmark:
    """The state as arrays."""

    def __init__(self, state: pa.Table) -> None:
        row = state.combine_chunks().to_batches()[0]
        self.names = row["names"].values
        self._squares = np.frombuffer(row["squares"][0].as_buffer(), dtype=np.uint8).reshape(-1, SIDE, SIDE)
        self._images = row["images"].values.to_numpy()
        hashes = row["hashes"].values.to_numpy()
        self._windows = Index.stored(hashes, row["windows"])
        self._wholes = Index.stored(hashes[:: len(WINDOWS)], row["wholes"])

    def most_similar(self, square: NDArray[np.uint8]) -> tuple[str | None, float]:
        """Name and similarity; of equally similar ones the first."""
        best: tuple[float, int] = (0.0, 0)
        for image, is_crop, windows in self._candidates(square):
            crop, whole = (square, self._squares[image]) if is_crop else (self._squares[image], square)
            best = max(best, (round(similarity(crop, whole, WINDOWS[windows]), 4), -image))
        return (str(self.names[-best[1]]), best[0]) if best[0] else (None, 0.0)

    def _candidates(self, square: NDArray[np.uint8]) -> Iterator[tuple[int, bool, NDArray[np.int64]]]:
        """(image, whether the square is a crop of it, nearest windows) for a few images, either way round."""
        _, places, bits = self._windows.near((hashes := window_hashes(square))[:1], MOST_BITS)
        crops = [self._images[places // len(WINDOWS)], places % len(WINDOWS), bits, np.ones_like(bits)]
        windows, places, bits = self._wholes.near(hashes, MOST_BITS)
        wholes = [self._images[places], windows, bits, np.zeros_like(bits)]
        image, window, bits, is_crop = (np.concatenate(pair) for pair in zip(crops, wholes, strict=True))
        order = np.lexsort([window, is_crop, image, bits])
        image, window, is_crop = image[order], window[order], is_crop[order]
        _, first = np.unique(image, return_index=True)
        for chosen in image[np.sort(first)][:MOST_CANDIDATES]:
            for way in (True, False):
                found = window[(image == chosen) & (is_crop == way)]
                _, first = np.unique(found, return_index=True)
                if len(found):
                    yield int(chosen), way, found[np.sort(first)[:MOST_WINDOWS]]
