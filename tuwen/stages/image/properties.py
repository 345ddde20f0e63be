"""Properties of the image file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from tuwen.stages.image.pixels import Decoded


@dataclass(frozen=True)
class Properties:
    """Format, size in pixels, colour mode, frames, EXIF orientation and size in bytes of an image file.

    `width`, `height`   as a browser shows the image: EXIF orientations 5 to 8 swap the stored sides
    `format`, `mode`    Pillow's names for the file format (lower case) and the colour mode of the original
    `num_frames`        more than 1 for animations; the other stages see the first frame
    `exif_orientation`  1 to 8, what the file states (CIPA DC-008, section 4.6.5); null when it states nothing
    `has_alpha`         some pixels may be transparent; the other stages see them over white
    `num_bytes`         of the file
    `decode_error`      null when the first frame could be decoded whole, else: missing (bytes are not stored), empty,
                        unidentified, vector (SVG), too_many_pixels (declared size above 180 million, refused unseen),
                        truncated, broken. What the header said is kept beside an error.

    https://pillow.readthedocs.io/en/stable/handbook/concepts.html
    """

    table = "images"
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema(
        [
            ("format", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("mode", pa.string()),
            ("num_frames", pa.int32()),
            ("exif_orientation", pa.int8()),
            ("has_alpha", pa.bool_()),
            ("num_bytes", pa.int64()),
            ("decode_error", pa.string()),
        ]
    )

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded]) -> pa.RecordBatch:
        columns = [
            [decoded.format for decoded in pixels],
            [decoded.width for decoded in pixels],
            [decoded.height for decoded in pixels],
            [decoded.mode for decoded in pixels],
            [decoded.num_frames for decoded in pixels],
            [decoded.orientation for decoded in pixels],
            [decoded.has_alpha for decoded in pixels],
            pc.binary_length(batch["bytes"]),
            [decoded.error for decoded in pixels],
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self.writes, strict=True)]
        return pa.record_batch(arrays, schema=self.writes)
