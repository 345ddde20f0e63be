"""What kind of picture an image looks like: photo, icon, or graphic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.stages.image.pixels import Decoded

EDGE = 32  # difference of neighbouring luma, of 255
LINE = 12  # pixels of a straight edge


@dataclass(frozen=True)
class Appearance:
    """Colours and edges of an image, and three scores from them that tell photos, icons and graphics apart.

    Measured at short side 128 (never enlarged); colours are of 4 bits a channel, 4,096 in all.

    `saturation`           mean of (largest - smallest channel) / 255, 0 to 1
    `num_colors`           distinct colours, 1 to 4,096
    `color_entropy`        of the histogram of colours, 0 to 12 bits: photos have many in like amounts
    `top_color_share`      of the most frequent colour, 0 to 1: the background of what was drawn
    `edge_density`         share of the pixels whose luma differs by at least 32 from the right or lower neighbour
    `straight_edge_share`  of the edges, those in exactly horizontal or vertical runs of at least 12 pixels, 0 to 1:
                           windows, tables, axes; 0 without an edge

    Each score is 0 to 1, with ramp(x, a, b) = 0 at a, 1 at b and linear between:

    `photo_score`          ramp(color_entropy, 3, 6) * ramp(top_color_share, 0.5, 0.2)
    `icon_score`           ramp(long side in pixels, 256, 96) * ramp(short / long side, 0.5, 0.8)
    `graphic_score`        (1 - photo_score) * (1 - icon_score): diagrams, charts and screenshots, which these figures
                           do not tell apart

    Null where decoding failed. Kinds of image as filters: https://arxiv.org/abs/2308.10755 (WanJuan drops icons and
    banners); colour counts to tell graphics from photos: Athitsos, Swain & Frankel 1997,
    https://doi.org/10.1109/IVL.1997.629715.
    """

    table = "images"
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema(
        [
            ("saturation", pa.float32()),
            ("num_colors", pa.int32()),
            ("color_entropy", pa.float32()),
            ("top_color_share", pa.float32()),
            ("edge_density", pa.float32()),
            ("straight_edge_share", pa.float32()),
            ("photo_score", pa.float32()),
            ("icon_score", pa.float32()),
            ("graphic_score", pa.float32()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        rows = [_appearance(decoded) for decoded in pixels]
        return pa.RecordBatch.from_pylist(
            [dict(zip(self.writes.names, row, strict=True)) for row in rows], schema=self.writes
        )


def _appearance(decoded: Decoded) -> tuple[float | None, ...]:
    if decoded.thumbnail is None or decoded.gray is None:
        return (None,) * 9
    rgb_HW3 = np.asarray(decoded.thumbnail)
    saturation = int((rgb_HW3.max(2).astype(np.int64) - rgb_HW3.min(2)).sum()) / (255 * rgb_HW3[..., 0].size)
    red, green, blue = (rgb_HW3[..., channel].ravel().astype(np.int64) >> 4 for channel in range(3))
    counts = np.bincount(red << 8 | green << 4 | blue)
    shares = counts[counts > 0] / counts.sum()
    entropy = float(-(shares * np.log2(shares)).sum()) + 0.0
    density, straight = _edges(np.asarray(decoded.gray).astype(np.int16))
    short, long = sorted((decoded.width or 1, decoded.height or 1))
    photo = _ramp(entropy, 3, 6) * _ramp(float(shares.max()), 0.5, 0.2)
    icon = _ramp(long, 256, 96) * _ramp(short / long, 0.5, 0.8)
    measured = (saturation, len(shares), entropy, float(shares.max()), density, straight)
    return (*measured, photo, icon, (1 - photo) * (1 - icon))


def _edges(luma_HW: NDArray[np.int16]) -> tuple[float, float]:
    """Share of pixels at an edge, and of these edges the share in straight horizontal or vertical runs."""
    across = np.abs(np.diff(luma_HW, axis=1)) >= EDGE  # edges that run vertically
    down = np.abs(np.diff(luma_HW, axis=0)) >= EDGE
    either = np.zeros(luma_HW.shape, dtype=bool)
    either[:, :-1] |= across
    either[:-1] |= down
    total = int(across.sum() + down.sum())
    straight = _in_runs(across.T) + _in_runs(down)
    return float(either.mean()), straight / total if total else 0.0


def _in_runs(edges_NM: NDArray[np.bool_]) -> int:
    """How many entries stand in runs of at least `LINE` along the last axis."""
    flat = np.pad(edges_NM, ((0, 0), (1, 1))).ravel().astype(np.int8)
    steps = np.flatnonzero(np.diff(flat))
    lengths = steps[1::2] - steps[::2]
    return int(lengths[lengths >= LINE].sum())


def _ramp(value: float, zero: float, one: float) -> float:
    return min(1.0, max(0.0, (value - zero) / (one - zero)))
