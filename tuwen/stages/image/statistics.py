"""Colour and sharpness statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.stages.image.pixels import Decoded


@dataclass(frozen=True)
class Statistics:
    """How bright, contrasty, colourful, sharp and varied an image is, measured at short side 128 (never enlarged).

    `brightness`    mean luma, 0 to 1
    `contrast`      standard deviation of luma, 0 to 0.5
    `colorfulness`  Hasler & Süsstrunk, "Measuring colourfulness in natural images", 2003: about 0 (gray) to 110
                    (extremely colourful). https://doi.org/10.1117/12.477378
    `sharpness`     variance of the 4-neighbour Laplacian of luma in 8-bit units (Pech-Pacheco et al., 2000,
                    https://doi.org/10.1109/ICPR.2000.903548): blurred below about 100 at this size; null where a
                    side has fewer than 3 pixels
    `entropy`       of the luma histogram, in bits, 0 to 8: flat drawings and icons stay low
    `flat_share`    share of neighbouring pixels (horizontal) of equal luma, 0 to 1: high for screenshots, diagrams
                    and logos, low for photographs; null for images one pixel wide

    Sums are over integers, so that the figures are the same on every machine. Null where decoding failed.
    """

    table = "images"
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema(
        [
            ("brightness", pa.float32()),
            ("contrast", pa.float32()),
            ("colorfulness", pa.float32()),
            ("sharpness", pa.float32()),
            ("entropy", pa.float32()),
            ("flat_share", pa.float32()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        rows = [_statistics(decoded) for decoded in pixels]
        return pa.RecordBatch.from_pylist(
            [dict(zip(self.writes.names, row, strict=True)) for row in rows], schema=self.writes
        )


def _statistics(decoded: Decoded) -> tuple[float | None, ...]:
    if decoded.thumbnail is None or decoded.gray is None:
        return (None,) * 6
    luma_HW = np.asarray(decoded.gray)
    counts = np.bincount(luma_HW.ravel(), minlength=256)
    levels = np.arange(256)
    mean, variance = _moments(int(counts @ levels), int(counts @ levels**2), luma_HW.size)
    shares = counts[counts > 0] / luma_HW.size
    return (
        mean / 255,
        variance**0.5 / 255,
        _colorfulness(np.asarray(decoded.thumbnail).reshape(-1, 3)),
        _sharpness(luma_HW.astype(np.int16)),
        float(-(shares * np.log2(shares)).sum()) + 0.0,
        float((luma_HW[:, 1:] == luma_HW[:, :-1]).mean()) if luma_HW.shape[1] > 1 else None,
    )


def _colorfulness(rgb_N3: NDArray[np.uint8]) -> float:
    red, green, blue = rgb_N3.T.astype(np.int16)
    opponents = (red - green, red + green - 2 * blue)  # the second is twice the paper's, to stay whole
    (mean_rg, variance_rg), (mean_yb, variance_yb) = (_moments_of(values) for values in opponents)
    spread = (variance_rg + variance_yb / 4) ** 0.5
    return float(spread + 0.3 * (mean_rg**2 + mean_yb**2 / 4) ** 0.5)


def _sharpness(luma_HW: NDArray[np.int16]) -> float | None:
    if min(luma_HW.shape) < 3:
        return None
    laplacian = (luma_HW[:-2, 1:-1] + luma_HW[2:, 1:-1] + luma_HW[1:-1, :-2] + luma_HW[1:-1, 2:]) - 4 * luma_HW[
        1:-1, 1:-1
    ]
    return _moments_of(laplacian)[1]


def _moments_of(values: NDArray[np.int16]) -> tuple[float, float]:
    flat = values.ravel().astype(np.int64)
    return _moments(int(flat.sum()), int(flat @ flat), flat.size)


def _moments(total: int, squares: int, count: int) -> tuple[float, float]:
    """Mean and variance from whole-number sums."""
    return total / count, (squares * count - total**2) / count**2
