"""Scenes as pixels. Integers only, so that each machine paints the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.truth import MOST_OBJECTS, RADII, Truth

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FINE = 4  # points of a pixel's side that are asked whether they are inside
NOISE = 12  # of each pixel, either way
JITTER = 22  # of each channel of an object's colour, either way
PAPERS = np.array([(236, 236, 232), (150, 150, 152), (32, 32, 36), (120, 180, 235), (90, 150, 70), (215, 195, 145)])
GRAIN = np.array([0, 0, 0, 0, 28, 14])  # of backgrounds, beside the noise of all pixels
FALL = np.array([0, 0, 0, 40, 0, 0])  # how much brighter the bottom is than the top


@dataclass
class Painted:
    """Images (N, side, side, 3), which object each pixel shows (N, side, side; 0 is none, 1 the main one), and boxes
    (N, 3, 4): x, y of the first pixel and of the one past the last."""

    images: Bytes
    masks: Bytes
    boxes: Ints


def painted(truth: Truth, rng: np.random.Generator, side: int = 32) -> Painted:
    """The scenes. `rng` gives light, grain and strokes, which no caption tells."""
    number = len(truth)
    sizes = patches(side)
    edge = max(each.width for each in sizes) // 2 + 1
    canvas = np.zeros((number, side + 2 * edge, side + 2 * edge, 3), np.int16)
    canvas[:, edge : edge + side, edge : edge + side] = _paper(truth, rng, side)
    masks = np.zeros(canvas.shape[:3], np.uint8)
    colours = words.RGB[truth.colour] + rng.integers(-JITTER, JITTER + 1, (number, MOST_OBJECTS, 3))
    strokes = rng.integers(0, 256, (number, MOST_OBJECTS, 7, 7), dtype=np.uint8)
    phase = rng.integers(0, 4, (number, MOST_OBJECTS, 2))
    centre = (2 * truth.centre + 1) * side // 64
    boxes = np.zeros((number, MOST_OBJECTS, 4), np.int64)
    for layer in range(MOST_OBJECTS):
        for size, patch in enumerate(sizes):
            rows = np.flatnonzero((truth.number > layer) & (truth.radius[:, layer, 0] == size))
            if not len(rows):
                continue
            which = (truth.shape[rows, layer], truth.radius[rows, layer, 1])
            first = centre[rows, layer] - patch.width // 2
            boxes[rows, layer] = patch.box[which] + np.tile(first[:, ::-1], 2)
            ys, xs = ((first[:, axis] + edge)[:, None] + np.arange(patch.width) for axis in (0, 1))
            place = (rows[:, None, None], ys[:, :, None], xs[:, None, :])
            cover, fill = _object(
                patch,
                which,
                truth.texture[rows, layer],
                truth.style[rows],
                colours[rows, layer],
                strokes[rows, layer],
                phase[rows, layer],
                side,
            )
            below = canvas[place]
            below += ((fill - below) * cover[..., None].astype(np.int32) // 16).astype(np.int16)
            canvas[place] = below
            masks[place] = np.where(patch.cover[which] >= 8, layer + 1, masks[place])
    inner = slice(edge, edge + side)
    images = canvas[:, inner, inner] + _noise(rng, (number, side, side, 3), NOISE)
    return Painted(np.clip(images, 0, 255).astype(np.uint8), np.ascontiguousarray(masks[:, inner, inner]), boxes)


def _paper(truth: Truth, rng: np.random.Generator, side: int) -> NDArray[np.int16]:
    number, kind = len(truth), truth.background
    paper = PAPERS[kind] + rng.integers(-10, 11, (number, 1)) + rng.integers(-5, 6, (number, 3))
    fall = FALL[kind][:, None] * np.arange(side) // side
    canvas = np.broadcast_to((paper[:, None] + fall[:, :, None])[:, :, None], (number, side, side, 3)).astype(np.int16)
    grainy = np.flatnonzero(GRAIN[kind])
    grain = rng.integers(-8, 9, (len(grainy), side, side, 1), dtype=np.int16)
    canvas[grainy] += grain * GRAIN[kind[grainy]][:, None, None, None].astype(np.int16) // 8
    return canvas


def _object(
    patch: Patch,
    which: tuple[Ints, Ints],
    texture: Ints,
    style: Ints,
    colour: Ints,
    strokes: Bytes,
    phase: Ints,
    side: int,
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """How much of each pixel an object covers (M, P, P), 0 … 16, and its colour there (M, P, P, 3)."""
    cover = patch.cover[which]
    light = _texture(texture, phase, patch.width, side)
    fill = np.broadcast_to(colour[:, None, None].astype(np.int16), (*cover.shape, 3)).copy()
    other = np.where(colour.sum(1, keepdims=True) > 420, colour * 2 // 5, colour + (255 - colour) * 3 // 4)
    fill = np.where(light[..., None], other[:, None, None].astype(np.int16), fill)
    if (shaded := style == words.STYLES.index("shaded")).any():
        fill[shaded] = fill[shaded] * patch.shade[:, :, None] // 64
    if (outlined := style == words.STYLES.index("outline")).any():
        rim = patch.rim[which[0][outlined], which[1][outlined]][..., None]
        pale = fill[outlined] + (255 - fill[outlined]) // 4
        fill[outlined] = np.where(rim, np.int16(20), pale)
    if (sketched := style == words.STYLES.index("sketch")).any():
        holes = np.tile(strokes[sketched], (1, *[-(-patch.width // 7)] * 2))[:, : patch.width, : patch.width]
        cover = cover.copy()
        cover[sketched] = np.where(holes < 90, cover[sketched] // 4, cover[sketched])
    return cover, fill


def _texture(texture: Ints, phase: Ints, width: int, side: int) -> NDArray[np.bool_]:
    """Where the second tone of a texture lies, (M, P, P)."""
    step = max(1, side // 32)
    down = (np.arange(width)[:, None] // step + phase[:, :1, None]) % 4
    along = (np.arange(width)[None, :] // step + phase[:, 1:, None]) % 4
    striped = np.broadcast_to(down < 2, (len(texture), width, width))
    dotted = (down < 2) & (along < 2)
    checkered = (down < 2) ^ (along < 2)
    none = np.zeros_like(dotted)
    return np.choose(texture[:, None, None], [none, striped, dotted, checkered])


def _noise(rng: np.random.Generator, shape: tuple[int, ...], reach: int) -> NDArray[np.int16]:
    """Whole numbers from about -reach to reach, those near 0 more often."""
    drawn = np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
    return ((drawn & 15).astype(np.int16) + (drawn >> 4) - 15) * reach // 15


# Shapes ---------------------------------------------------------------------------------------------------------


@dataclass
class Patch:
    """All shapes in one size: cover (8, 2, P, P) from 0 to 16, `rim` where an outline goes, box (8, 2, 4) and light."""

    width: int
    cover: NDArray[np.int16]
    rim: NDArray[np.bool_]
    box: Ints
    shade: NDArray[np.int16]


@lru_cache(maxsize=4)
def patches(side: int) -> tuple[Patch, ...]:
    """Shapes in all sizes, for images of so many pixels."""
    return tuple(_patch(tuple(each * side / 32 for each in radii)) for radii in RADII)


def _patch(radii: tuple[float, ...]) -> Patch:
    half = int(np.ceil(max(radii)))
    width = 2 * half + 1
    points = (np.arange(width * FINE) + 0.5) / FINE - width / 2
    cover = np.zeros((len(words.SHAPES), len(radii), width, width), np.int16)
    for shape, name in enumerate(words.SHAPES):
        for number, radius in enumerate(radii):
            inside = INSIDE[name](points[None, :] / radius, points[:, None] / radius)
            cover[shape, number] = inside.reshape(width, FINE, width, FINE).sum((1, 3))
    whole = np.pad(cover >= 8, ((0, 0), (0, 0), (1, 1), (1, 1)))
    inner = whole[..., 1:-1, 1:-1] & whole[..., :-2, 1:-1] & whole[..., 2:, 1:-1] & whole[..., 1:-1, :-2]
    inner &= whole[..., 1:-1, 2:]
    box = np.zeros((*cover.shape[:2], 4), np.int64)
    for place in np.ndindex(*cover.shape[:2]):
        ys, xs = np.nonzero(cover[place] >= 8)
        box[place] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    lit = np.add.outer(np.arange(width), np.arange(width))
    shade = (84 - 56 * lit // (2 * width)).astype(np.int16)
    return Patch(width, cover, ~inner, box, shade)


def _star(u: Floats, v: Floats) -> NDArray[np.bool_]:
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    reach = np.where(np.arange(10) % 2, 0.48, 1.05)
    xs, ys = reach * np.cos(angles), reach * np.sin(angles) + 0.05
    inside = np.zeros(np.broadcast_shapes(u.shape, v.shape), bool)
    for here in range(10):
        there = here - 1
        crosses = (ys[here] > v) != (ys[there] > v)
        slope = (xs[there] - xs[here]) / (ys[there] - ys[here])
        inside ^= crosses & (u < xs[here] + slope * (v - ys[here]))
    return inside


def _heart(u: Floats, v: Floats) -> NDArray[np.bool_]:
    x, y = 1.2 * u, 0.15 - 1.2 * v
    return (x * x + y * y - 1) ** 3 - x * x * y**3 <= 0


INSIDE: dict[str, Callable[[Floats, Floats], Any]] = {
    "circle": lambda u, v: u * u + v * v <= 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) <= 0.87,
    "triangle": lambda u, v: (v <= 0.8) & (abs(u) <= 0.55 * (v + 1)),
    "diamond": lambda u, v: abs(u) * 1.25 + abs(v) <= 1,
    "star": _star,
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= 0.95),
    "ring": lambda u, v: (u * u + v * v <= 1) & (u * u + v * v >= 0.3),
    "heart": _heart,
}
