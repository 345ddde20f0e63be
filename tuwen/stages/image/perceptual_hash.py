"""Perceptual hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from PIL.Image import Image

    from tuwen.stages.image.pixels import Decoded

SIDE = 32
LOW = 8  # lowest frequencies kept in each direction

# Orthonormal DCT-II, rows are frequencies.
_ANGLES = np.pi / SIDE * np.outer(np.arange(LOW), np.arange(SIDE) + 0.5)
_DCT = np.cos(_ANGLES) * np.where(np.arange(LOW) == 0, 1, 2**0.5)[:, None] / SIDE**0.5


@dataclass(frozen=True)
class PerceptualHash:
    """`perceptual_hash`, 64 bits of a DCT: near-equal images differ in few bits, `bit_count(xor(a, b))`.

    Luma at 32×32, DCT-II, the 8×8 lowest frequencies against their median; row-major, first bit highest, so that
    values compare with `imagehash.phash`. A single-coloured image hashes to one of two values whatever its colour.
    Null where the image could not be decoded. Zauner, "Implementation and benchmarking of perceptual image hash
    functions", 2010, section 3.2.1. https://www.phash.org/docs/pubs/thesis_zauner.pdf

    **Differs from the paper:** no 7×7 mean filter before the reduction (resampling already averages), and the
    constant coefficient takes part, as in the `imagehash` package.
    """

    table = "images"
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema([("perceptual_hash", pa.uint64())])

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        known = np.array([decoded.gray is not None for decoded in pixels], dtype=bool)
        hashes = np.zeros(len(pixels), dtype=np.uint64)
        if known.any():
            hashes[known] = perceptual_hashes([decoded.gray for decoded in pixels if decoded.gray is not None])
        return pa.record_batch([pa.array(hashes, mask=~known)], schema=self.writes)


def perceptual_hashes(grays: Sequence[Image]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """One hash for each image of mode L (`Decoded.gray`), at least one."""
    from PIL.Image import Resampling

    squares = np.stack([np.asarray(gray.resize((SIDE, SIDE), Resampling.LANCZOS), dtype=np.float64) for gray in grays])
    # Rounding makes the bits independent of how a machine orders the sums; a flat image gives clean zeros.
    frequencies = np.round(_DCT @ squares @ _DCT.T, 3).reshape(-1, LOW * LOW)
    bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
