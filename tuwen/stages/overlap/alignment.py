"""How alike a picture and a window of another one are, at the best alignment.

The window is given within a few percent; its edges are moved until the two agree best, each step the least-squares
solution for brightness, contrast and the four edges: Lucas & Kanade, "An iterative image registration technique", 1981.
https://www.ri.cmu.edu/publications/an-iterative-image-registration-technique-with-an-application-to-stereo-vision-2/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tuwen.stages.overlap.windows import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH = 32  # pixels of the squares that are compared
BLOCK = 8
COARSE_STEPS = 3
FINE_STEPS = 3
_DISTANCE = np.abs(np.arange(PATCH)[:, None] - np.arange(PATCH))
_BLUR = np.exp(-0.5 * (_DISTANCE / 1.5) ** 2)
_BLUR /= _BLUR.sum(axis=1, keepdims=True)
_MOST_SHIFT = 0.04  # of an edge in one step, in sides
_U = (np.arange(PATCH) + 0.5) / PATCH
_BORDERS = np.arange(PATCH + 1) / PATCH
_CERTAIN = 0.97
_LEAST_GAIN = 0.003  # in similarity, for which another step is tried
_HOPELESS = 0.3  # pictures that are less alike after the coarse steps are no copies
_NOISE = 1.0  # variance of luma that compression may make


def similarity(picture: NDArray[np.uint8], other: NDArray[np.uint8], windows: NDArray[np.float64]) -> float:
    """Of the whole `picture` and a window of `other`, 0 to 1: 1 where they are equal.

    `windows` are guesses, (left, right, top, bottom) each; the best of them is where the alignment starts.

    The normalised cross-correlation of luma at 32×32 pixels, each block of 8×8 less its mean: what is alike in rough
    shape only, such as two skies above two fields, is far from 1.
    """
    wanted = _sample(picture.astype(np.float64), np.array([0.0, 1.0, 0.0, 1.0]))
    source = other.astype(np.float64)
    blurred = _blurred(wanted)
    guesses = [_correlation(blurred, _blurred(_sample(source, window))) for window in windows]
    best, edges = 0.0, windows[int(np.argmax(guesses))]
    for step in range(COARSE_STEPS + FINE_STEPS + 1):
        shown = _sample(source, edges)
        found = _correlation(wanted, shown)
        gain, best = found - best, max(best, found)
        if step == COARSE_STEPS + FINE_STEPS or best > _CERTAIN:
            break
        if step >= COARSE_STEPS and (gain < _LEAST_GAIN or best < _HOPELESS):
            break
        # Blurred first: fine lines agree by chance, or not at all, until they are less than a line apart.
        coarse = step < COARSE_STEPS
        edges = _improved(edges, *((blurred, _blurred(shown)) if coarse else (wanted, shown)))
    return best


def _blurred(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = _BLUR @ patch @ _BLUR.T
    return found


def _improved(
    edges: NDArray[np.float64], wanted: NDArray[np.float64], shown: NDArray[np.float64]
) -> NDArray[np.float64]:
    padded = np.pad(shown, 1, mode="edge") * (PATCH / 2)
    slope_y, slope_x = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    width, height = edges[1] - edges[0], edges[3] - edges[2]
    moves = [slope_x * (1 - _U) / width, slope_x * _U / width]
    moves += [slope_y * (1 - _U)[:, None] / height, slope_y * _U[:, None] / height]
    columns = np.stack([shown, np.ones_like(shown), *moves]).reshape(6, -1)
    normal = columns @ columns.T
    normal[np.diag_indices(6)] *= 1 + 1e-6
    normal[np.diag_indices(6)] += 1e-6  # a stripe has no slope along itself
    solution = np.linalg.solve(normal, columns @ wanted.ravel())
    if not solution[0] > 0.1:  # contrast turned round: this is no copy
        return edges
    moved = edges + np.clip(solution[2:] / solution[0], -_MOST_SHIFT, _MOST_SHIFT)
    bounded: NDArray[np.float64] = np.clip(moved, [0, 0.5, 0, 0.5], [0.5, 1, 0.5, 1])
    return bounded


def _sample(square: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The window at PATCH × PATCH pixels, each the mean over its area."""
    across, down = _weights(edges[0], edges[1]), _weights(edges[2], edges[3])
    found: NDArray[np.float64] = down @ square @ across.T
    return found


def _weights(start: float, end: float) -> NDArray[np.float64]:
    borders = (start + (end - start) * _BORDERS) * SIDE
    reach = np.clip(borders[:, None] - np.arange(SIDE), 0, 1)
    found: NDArray[np.float64] = np.diff(reach, axis=0) * (PATCH / (SIDE * (end - start)))
    return found


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    a, b = _blocks(first), _blocks(second)
    noise = _NOISE * a.size
    value = (a * b).sum() / np.sqrt(((a * a).sum() + noise) * ((b * b).sum() + noise))
    return float(np.clip(value, 0, 1))


def _blocks(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    tiles = patch.reshape(PATCH // BLOCK, BLOCK, PATCH // BLOCK, BLOCK)
    found: NDArray[np.float64] = tiles - tiles.mean(axis=(1, 3), keepdims=True)
    return found
