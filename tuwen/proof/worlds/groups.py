"""Real pictures come in families: what is nearly alike, or of one kind, is in training or in the test, never in both.

A random split of emoji or screenshots tests a model on pictures that it has all but seen. A group is a connected
component of pictures that share a key (a file, a head noun) or whose pixels have a cosine above a threshold.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.stages.dedup.clusters import link

if TYPE_CHECKING:
    from PIL import Image

COSINE = 0.93
SIDE = 32  # pixels of the thumbnails that are compared
BLOCK = 256  # rows that are compared with all others at once

Rows = NDArray[np.int64]


def groups_of(thumbnails: NDArray[np.uint8], keys: Sequence[Hashable] = (), cosine: float = COSINE) -> Rows:
    """The group of each picture (N,), named by its smallest row.

    `thumbnails` (N, side, side, 3) are compared by the cosine of their pixels, each less the mean of its picture: with
    the raw ones everything on white paper is alike. Equal pictures are linked, and equal `keys`.
    """
    labels = np.arange(len(thumbnails))
    for equal in ([each.tobytes() for each in thumbnails], keys):
        first: dict[Hashable, int] = {}
        rows = np.array([first.setdefault(key, row) for row, key in enumerate(equal)], np.int64)
        labels = link(labels, labels[: len(rows)], rows)
    pixels = centred(thumbnails)
    for start in range(0, len(pixels), BLOCK):
        left, right = np.nonzero(pixels[start : start + BLOCK] @ pixels[start:].T > cosine)
        labels = link(labels, left + start, right + start)
    return labels


def centred(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels (N, side · side · 3) less the mean of their image, of length 1; zeros for a uniform image."""
    pixels = images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float32)
    pixels -= pixels.mean(1, keepdims=True)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)
    return pixels


def in_test(groups: Rows, share: float, seed: int) -> NDArray[np.bool_]:
    """Rows of the test (N,): about this share of them, in whole groups. A group that is larger than what is left to be
    filled, as the largest are, goes to training."""
    names, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    room = round(share * len(groups))
    chosen = np.zeros(len(names), bool)
    for group in np.random.default_rng(seed).permutation(len(names)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= sizes[group]
    return chosen[number]


def others(rng: np.random.Generator, groups: Rows, rows: Rows) -> Rows:
    """For each of `rows` a row of another group, all rows being as likely."""
    if len(rows) and (groups == groups[0]).all():
        raise UsageError("all pictures are of one group, so none can have the text of another; set mismatch to 0")
    found = rng.integers(len(groups), size=len(rows))
    while (wrong := np.flatnonzero(groups[found] == groups[rows])).size:
        found[wrong] = rng.integers(len(groups), size=len(wrong))
    return found


def chosen(available: int, number: int, what: str, rng: np.random.Generator | None = None) -> Rows:
    """So many of the available rows, in the order of `rng`, else the first; `UsageError` where there are not enough."""
    if number > available:
        raise UsageError(f"{number} {what} are asked for and there are {available}; lower the claim's budget")
    return (np.arange(available) if rng is None else rng.permutation(available))[:number]


def pictures(data: bytes | None, *sides: int) -> list[NDArray[np.uint8]] | None:
    """An image file as (side, side, 3) for each of the sides, at most 128; None where it cannot be decoded."""
    from tuwen.stages.image.pixels import decode

    image = decode(data, 128).thumbnail
    return None if image is None else [squared(image, side) for side in sides]


def squared(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """An RGB image as (side, side, 3), whole, in the middle of a white square."""
    from PIL import Image

    longest = max(image.size)
    page = Image.new("RGB", (longest, longest), "white")
    page.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    return np.asarray(page.resize((side, side), Image.Resampling.BOX))
