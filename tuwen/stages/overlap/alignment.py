"""How alike a picture and a window of another one are, at the best alignment.

The window is given within a few percent; its edges are moved until the two agree best, each step the least-squares
solution for brightness, contrast and the four edges: Lucas & Kanade, "An iterative image registration technique", 1981.
https://www.ri.cmu.edu/publications/an-iterative-image-registration-technique-with-an-application-to-stereo-vision-2/

Such a descent ends at the nearest optimum, and lines of text or a drawing of thin lines have many. Where it ends short
of certainty, but near enough for a copy, the edges of one axis after the other are searched on a grid, and the descent
starts again from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tuwen.stages.overlap.windows import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH = 34  # pixels of the squares that are compared; those at the edge are left out, where a border may shine through
BLOCK = 8
COARSE_STEPS = 3
FINE_STEPS = 3
_DISTANCE = np.abs(np.arange(PATCH)[:, None] - np.arange(PATCH))
_BLUR = np.exp(-0.5 * (_DISTANCE / 1.5) ** 2)
_BLUR /= _BLUR.sum(axis=1, keepdims=True)
_MOST_SHIFT = 0.04  # of an edge in one step, in sides
_U = (np.arange(PATCH) + 0.5) / PATCH
_BORDERS = np.arange(PATCH + 1) / PATCH
CERTAIN = 0.97  # that it is a copy
_LEAST_GAIN = 0.003  # in similarity, for which another step is tried
_HOPELESS = 0.3  # pictures that are less alike after the coarse steps are no copies
_NOISE = 1.0  # variance of luma that compression may make
_WORTH = 0.5  # similarity from which on a copy may be hidden behind a wrong alignment
_STEPS = (0.01, 0.01, 0.004)  # of the search, in sides, four either way; the last one on what is not blurred
_DECIMALS = 6  # of similarities that are compared, so that what is as good loses to what is nearer


def _grid() -> NDArray[np.float64]:
    steps = np.array([(start, end) for start in range(-4, 5) for end in range(-4, 5)], dtype=np.float64)
    order = np.argsort((steps**2).sum(axis=1), kind="stable")
    found: NDArray[np.float64] = steps[order]
    return found


_GRID = _grid()  # the nearest first: they win where all are alike


def similarity(
    picture: NDArray[np.uint8], other: NDArray[np.uint8], windows: NDArray[np.float64], *, search: bool = True
) -> float:
    """Of the whole `picture` and a window of `other`, 0 to 1: 1 where they are equal.

    `windows` are guesses, (left, right, top, bottom) each; the best of them is where the alignment starts. `search`:
    whether to go on where that ends between likeness and certainty, at about ten times the cost.

    The normalised cross-correlation of luma at 32×32 pixels, each block of 8×8 less its mean: what is alike in rough
    shape only, such as two skies above two fields, is far from 1.
    """
    wanted = _sample(picture.astype(np.float64), np.array([0.0, 1.0, 0.0, 1.0]))
    source = other.astype(np.float64)
    blurred = _blurred(wanted)
    guesses = [_correlation(blurred, _blurred(_sample(source, window))) for window in windows]
    edges = windows[int(np.argmax(guesses))]
    best = _descended(wanted, source, edges, COARSE_STEPS)
    if not search or not _WORTH < best < CERTAIN:
        return best
    for step in _STEPS:
        for axis in (1, 0):
            edges = _searched(wanted, source, edges, axis, step)
    return max(best, _descended(wanted, source, edges, 0))


def _descended(
    wanted: NDArray[np.float64], source: NDArray[np.float64], edges: NDArray[np.float64], num_coarse: int
) -> float:
    """The best similarity on the way down from `edges`."""
    best, blurred = 0.0, _blurred(wanted)
    for step in range(num_coarse + FINE_STEPS + 1):
        shown = _sample(source, edges)
        found = _correlation(wanted, shown)
        gain, best = found - best, max(best, found)
        if step == num_coarse + FINE_STEPS or best > CERTAIN:
            break
        if step >= num_coarse and (gain < _LEAST_GAIN or best < _HOPELESS):
            break
        # Blurred first: fine lines agree by chance, or not at all, until they are less than a line apart.
        coarse = step < num_coarse
        edges = _improved(edges, *((blurred, _blurred(shown)) if coarse else (wanted, shown)))
    return best


def _searched(
    wanted: NDArray[np.float64], source: NDArray[np.float64], edges: NDArray[np.float64], axis: int, step: float
) -> NDArray[np.float64]:
    """`edges` with those of one axis (0: left and right, 1: top and bottom) where the two agree best on the grid."""
    if axis == 0:
        turned = _searched(wanted.T, source.T, edges[[2, 3, 0, 1]], 1, step)
        return turned[[2, 3, 0, 1]]
    lines = source @ _weights(edges[0], edges[1]).T  # (SIDE, PATCH)
    ends = np.clip(edges[2:] + step * _GRID, [0, 0.5], [0.5, 1])
    borders = (ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * _BORDERS) * SIDE
    whole = np.minimum(borders.astype(np.int64), SIDE - 1)
    is_blurred = step > _STEPS[-1]
    if is_blurred:
        wanted, lines = _blurred(wanted), lines @ _BLUR.T
    sums = np.concatenate([np.zeros((1, PATCH)), np.cumsum(lines, axis=0)])
    patches = np.diff(sums[whole] + lines[whole] * (borders - whole)[..., None], axis=1)
    patches *= (PATCH / SIDE / (ends[:, 1] - ends[:, 0]))[:, None, None]
    if is_blurred:
        patches = _BLUR @ patches
    best = int(np.argmax(np.round(_correlations(wanted, patches), _DECIMALS)))
    return np.concatenate([edges[:2], ends[best]])


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
    return float(_correlations(first, second[None])[0])


def _correlations(wanted: NDArray[np.float64], patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of one patch and each of many, every block less its mean, 0 to 1."""
    one, many = _blocks(wanted[None]), _blocks(patches)
    noise = _NOISE * one.size
    value = many @ one[0] / np.sqrt(((one * one).sum() + noise) * ((many * many).sum(axis=1) + noise))
    found: NDArray[np.float64] = np.clip(value, 0, 1)
    return found


def _blocks(patches: NDArray[np.float64]) -> NDArray[np.float64]:
    num = PATCH // BLOCK
    tiles = patches[:, 1:-1, 1:-1].reshape(-1, num, BLOCK, num, BLOCK)
    found: NDArray[np.float64] = (tiles - tiles.mean(axis=(2, 4), keepdims=True)).reshape(len(patches), -1)
    return found
