"""Rectangles of an image made unrecognisable, faces for instance, before it is re-encoded for a release."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence

from tuwen.fetching.reencode import reencode
from tuwen.fetching.settings import Reencode
from tuwen.stages.image.pixels import MAX_PIXELS, ORIENTATION, UPRIGHT, open_image, to_rgb

# left, top, right, bottom as shares of the upright image's width and height, 0 to 1: as DataComp's `face_bboxes`
Box = tuple[float, float, float, float]
TILES = 6  # across the longer side of a box: what is left of a face


def blurred(data: bytes, boxes: Sequence[Box], options: Reencode, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """`data` with every box as a mosaic, re-encoded.

    Boxes are cut at the image's edges; one that lies outside does nothing. The tiles are few, since finer mosaics and
    blurs can be undone in part: https://doi.org/10.1515/popets-2016-0047. Transparency goes, over white. None where the
    image cannot be decoded whole or declares more than `max_pixels`.
    """
    from PIL.Image import Resampling

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged metadata makes Pillow warn; only pixels count here
        try:
            with open_image(data) as image:
                if math.prod(image.size) > max_pixels:
                    return None
                image.load()
                profile = image.info.get("icc_profile") if image.mode == "RGB" else None
                turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1)) if image.format != "TIFF" else None
                pixels = to_rgb(image).copy()
            pixels = pixels if turn is None else pixels.transpose(turn)
            for left, top, right, bottom in boxes:
                across, down = pixels.size
                corners = (max(0, left) * across, max(0, top) * down, min(1, right) * across, min(1, bottom) * down)
                x, y, end_x, end_y = *map(math.floor, corners[:2]), *map(math.ceil, corners[2:])
                if end_x <= x or end_y <= y:
                    continue
                part = pixels.crop((x, y, end_x, end_y))
                scale = TILES / max(part.size)
                few = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
                tiles = part.resize(few, Resampling.BOX).resize(part.size, Resampling.NEAREST)
                pixels.paste(tiles, (x, y))
            stream = io.BytesIO()
            pixels.info.clear()
            pixels.save(stream, "PNG", compress_level=0, icc_profile=profile)
        except MemoryError:
            raise
        except Exception:  # decoders raise nearly every built-in exception on damaged files
            return None
    return reencode(stream.getvalue(), options, max_pixels)
