"""Vectors of images: those of the encoder, row by row, whatever cannot be decoded."""

from __future__ import annotations

import io
from pathlib import Path

import hostile_images
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import tuwen
from tuwen.models.encoder import encoder
from tuwen.stages.image.embedding import Embedding
from tuwen.stages.image.pixels import decode

TINY = str(Path(__file__).parent.parent / "data" / "tiny-clip")


def png(size: tuple[int, int], colour: tuple[int, ...] = (200, 30, 30), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_each_decoded_image_has_the_vector_of_the_encoder() -> None:
    contents = [None, png((1, 1)), b"<svg/>", png((40, 30), (0, 0, 200, 0), "RGBA"), png((640, 3)), b""]
    stage = Embedding(TINY, batch_size=2)
    found = tuwen.run(stage, pa.record_batch({"bytes": pa.array(contents, pa.large_binary())}))["embedding"]
    assert found.is_valid().to_pylist() == [False, True, False, True, True, False]
    images = [decode(data, 16).image for data in contents]
    expected = encoder(TINY).images([image for image in images if image], 2)
    assert np.array_equal(np.stack(found.drop_null().to_pylist()).astype(np.float16), expected.astype(np.float16))
    white, red = encoder(TINY).images([Image.new("RGB", (9, 9), "white"), Image.new("RGB", (9, 9), "red")])
    assert expected[1] == pytest.approx(white, abs=1e-3)  # transparency lies over white
    assert expected[1] != pytest.approx(red, abs=1e-3)


def test_hostile_images() -> None:
    contents = list(hostile_images.images().values())
    found = tuwen.run(Embedding(TINY), pa.record_batch({"bytes": pa.array(contents, pa.large_binary())}))
    decoded = [decode(data, 16).image is not None for data in contents]
    assert found["embedding"].is_valid().to_pylist() == decoded


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="model must name"):
        Embedding("")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        Embedding(TINY, batch_size=0)
