"""Hashes of windows of an image: what is left of it after any crop that keeps about 80 % of its area.

A window is cut by its four edges, each on a grid of `STEP` of the side. Its hash holds the signs of the lowest
frequencies of a DCT over the window alone, so a crop hashes like the window nearest to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tuwen.stages.image.pixels import Decoded

SIDE = 128  # pixels of the luma square that everything is measured on
STEP = 0.04
AREA = 0.77  # of the image, at least: a little less than 80 %, so that those crops lie between windows
FREQUENCIES = 8
NUM_BITS = 64
NOTHING = 0.02  # of the root mean square: a frequency below has no sign; half of those of a symmetric picture have none
FLAT = 2.0  # standard deviation of luma, of 255, below which there is nothing to compare
_SCALE = 1 << 12  # of the integers that stand for the DCT: sums are then exact, in any order


def squares(pixels: Sequence[Decoded]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Luma of each image as a square, (N, SIDE, SIDE), and whether it has anything to compare; zeros if not decoded."""
    from PIL.Image import Resampling

    found = np.zeros((len(pixels), SIDE, SIDE), dtype=np.uint8)
    for row, decoded in enumerate(pixels):
        if decoded.gray is not None:
            found[row] = np.asarray(decoded.gray.resize((SIDE, SIDE), Resampling.BICUBIC))
    values = found.reshape(len(pixels), SIDE * SIDE).astype(np.int64)
    spread = SIDE**2 * (values**2).sum(axis=1) - values.sum(axis=1) ** 2
    return found, spread > FLAT**2 * SIDE**4


def _edges() -> NDArray[np.float64]:
    """(start, end) of every window along one side; the whole comes first."""
    cuts = np.arange(0, 1 - AREA, STEP)
    return np.array([(start, 1 - end) for start in cuts for end in cuts if 1 - start - end >= AREA])


def _basis(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """DCT-II over each window, integrated over each pixel: whole numbers, (windows * FREQUENCIES, SIDE)."""
    borders = np.arange(SIDE + 1) / SIDE
    start, length = edges[:, :1], edges[:, 1:] - edges[:, :1]
    inside = np.clip((borders - start) / length, 0, 1)[:, None, :]
    frequency = np.arange(1, FREQUENCIES)[:, None]
    waves = np.sin(np.pi * frequency * inside) / (np.pi * frequency)
    integrals = np.diff(np.concatenate([inside, waves], axis=1), axis=2)
    return np.round(integrals * SIDE * _SCALE).reshape(-1, SIDE)


_EDGES = _edges()
_BASIS = _basis(_EDGES)


def _places() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All windows as (left, right, top, bottom), and where their coefficients stand in the product of two bases.

    Bits go in turn to the four quarters of the hash, so that each holds low and high frequencies.
    """
    lengths = np.round(_EDGES[:, 1] - _EDGES[:, 0], 9)
    down, across = np.nonzero(np.outer(lengths, lengths) >= AREA)
    y, x = (axis.ravel() for axis in np.mgrid[:FREQUENCIES, :FREQUENCIES])
    order = np.lexsort([x, y, x + y])
    order = order.reshape(-1, 4).T.ravel()
    rows = down[:, None] * FREQUENCIES + y[order]
    columns = across[:, None] * FREQUENCIES + x[order]
    return np.hstack([_EDGES[across], _EDGES[down]]), rows * len(_BASIS) + columns


WINDOWS, _PLACES = _places()  # the first window is the whole image


def window_hashes(square: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits for each of `WINDOWS`. The first bit, of the constant, is always 0."""
    frequencies = (_BASIS @ square.astype(np.float64) @ _BASIS.T).ravel()[_PLACES]
    frequencies[:, 0] = 0
    bits = frequencies > NOTHING * np.sqrt((frequencies**2).mean(axis=1, keepdims=True))
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
