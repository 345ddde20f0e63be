"""Images of a folder of benchmarks, made ready to be searched: the state of `overlap.images`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.stages.overlap.alignment import CERTAIN, similarity
from tuwen.stages.overlap.hamming import INDEX, Index
from tuwen.stages.overlap.windows import SIDE, WINDOWS, window_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST_BITS = 12  # that hashes of one picture may differ in
MOST_CANDIDATES = 6  # images that are compared closely,
MOST_SEARCHED = 2  # most similar ones whose alignment is searched where none is certain
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


def images_state(names: list[str], found: NDArray[np.uint8], telling: NDArray[np.bool_]) -> pa.Table:
    """From the squares (N, SIDE, SIDE) of all images and whether each has anything to compare."""
    images = np.flatnonzero(telling).astype(np.uint32)
    hashes = np.array([window_hashes(found[row]) for row in images], dtype=np.uint64).reshape(-1, len(WINDOWS))
    indices = [Index.of(hashes.ravel()), Index.of(hashes[:, 0])]
    parts = [{"order": index.order.ravel(), "starts": index.starts.ravel()} for index in indices]
    values: list[Any] = [names, found.tobytes(), hashes.ravel(), images, *parts]
    arrays = [pa.array([value], type=field.type) for value, field in zip(values, STATE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=STATE)


class BenchmarkImages:
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
        pairs = []
        for image, is_crop, windows in self._candidates(square):
            crop, whole = (square, self._squares[image]) if is_crop else (self._squares[image], square)
            pairs.append(
                (round(similarity(crop, whole, WINDOWS[windows], search=False), 4), -image, crop, whole, windows)
            )
        pairs.sort(key=lambda pair: pair[:2], reverse=True)
        best = max((pair[:2] for pair in pairs), default=(0.0, 0))
        if best[0] <= CERTAIN:
            for _, image, crop, whole, windows in pairs[:MOST_SEARCHED]:
                best = max(best, (round(similarity(crop, whole, WINDOWS[windows]), 4), image))
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
