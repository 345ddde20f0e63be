"""Copies of evaluation images are found, whatever was done to them, and nothing else is."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageOps

from tuwen.errors import UsageError
from tuwen.stages.image.pixels import decode
from tuwen.stages.overlap.hamming import Index
from tuwen.stages.overlap.images import Images
from tuwen.stages.overlap.windows import WINDOWS


def photo(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Noise whose amplitude falls with the frequency, as in photographs."""
    draw = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1])))
    noise = np.fft.fft2(draw.standard_normal(frequency.shape)) / np.maximum(frequency, 0.005) ** 1.4
    values = np.fft.ifft2(noise).real
    return Image.fromarray((128 + 50 * (values - values.mean()) / values.std()).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: int) -> bytes:
    sink = io.BytesIO()
    image.convert("RGB").save(sink, format, **options)
    return sink.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("benchmark")
    (root / "test").mkdir()
    for seed in range(20):
        (root / "test" / f"{seed:02d}.png").write_bytes(encoded(photo(seed)))
    (root / "white.png").write_bytes(encoded(Image.new("L", (50, 50), 255)))
    (root / "labels.csv").write_text("not an image")
    return root


def run(stage: Images, data: list[bytes | None]) -> list[dict]:
    batch = pa.record_batch([pa.array(data, pa.large_binary())], names=["bytes"])
    decoded = [decode(one, stage.pixels) for one in data]
    return stage(batch, pixels=decoded, state=stage.prepare(None)).to_pylist()


def test_copies_are_found_and_nothing_else(folder: Path) -> None:
    changed, true = [], []
    for seed in range(20):
        image = photo(seed)
        draw = np.random.default_rng(seed)
        copies = [
            encoded(image.resize((60, 45))),
            encoded(image.resize((480, 300))),
            encoded(image, "JPEG", quality=30),
        ]
        copies.append(encoded(ImageOps.expand(image, 9, "white"), "JPEG"))  # the benchmark's is a crop of it
        for share in (0.95, 0.9, 0.85, 0.8, 0.8):
            width = np.exp(draw.uniform(np.log(share), 0))
            size = round(240 * width), round(180 * share / width)
            left, top = draw.integers(0, 241 - size[0]), draw.integers(0, 181 - size[1])
            copies.append(encoded(image.crop((left, top, left + size[0], top + size[1])), "JPEG", quality=60))
        changed += copies
        true += [f"test/{seed:02d}.png"] * len(copies)
    found = run(Images(str(folder)), [*changed, *(encoded(photo(seed)) for seed in range(100, 200))])
    assert [row["evaluation_image"] for row in found[: len(true)]] == true
    assert {row["evaluation_image"] for row in found[len(true) :]} == {None}
    assert max(row["evaluation_image_score"] for row in found[len(true) :]) < 0.6
    assert {row["num_evaluation_images"] for row in found} == {21}


@cache
def dialog(seed: int) -> Image.Image:
    """Many thin lines of much the same shape, which agree at more than one place."""
    draw = np.random.default_rng(seed)
    image = Image.new("L", (320, 400), 255)
    pen = ImageDraw.Draw(image)
    for line in range(26):
        words = " ".join("".join(draw.choice(list("abcdeghilmnorstu"), draw.integers(2, 9))) for _ in range(4))
        pen.text((10 + 12 * int(draw.integers(3)), 6 + 15 * line), words, 0)
    return image


def test_lines_of_text_are_found_at_any_crop_and_told_from_each_other(tmp_path: Path) -> None:
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(encoded(dialog(seed)))
    cuts = [(3, 7, 305, 381), (20, 0, 320, 360), (0, 30, 311, 400), (9, 12, 301, 396), (14, 5, 316, 370)]
    crops = [encoded(dialog(seed).crop(cut), "JPEG", quality=80) for seed in range(4) for cut in cuts]
    others = [encoded(dialog(seed)) for seed in range(10, 18)]
    found = run(Images(str(tmp_path)), [*crops, *others])
    true = [f"{seed}.png" for seed in range(4) for _ in cuts]
    assert sum(row["evaluation_image"] == name for row, name in zip(found, true, strict=False)) >= 19
    assert {row["evaluation_image"] for row in found[20:]} == {None}


def test_a_symmetric_picture_is_found(tmp_path: Path) -> None:
    """Half its frequencies are nothing, of either sign."""
    image = Image.new("L", (136, 128), 255)
    ImageDraw.Draw(image).rectangle((8, 4, 127, 123), 225)
    (tmp_path / "swatch.png").write_bytes(encoded(image))
    changed = [encoded(image, "JPEG", quality=quality) for quality in (20, 30, 40, 60)]
    changed += [encoded(image.crop(cut), "JPEG", quality=80) for cut in ((1, 2, 136, 128), (0, 2, 135, 127))]
    found = run(Images(str(tmp_path)), changed)
    assert {row["evaluation_image"] for row in found} == {"swatch.png"}


def test_blank_and_broken_images(folder: Path) -> None:
    blank = [encoded(Image.new("RGB", (64, 64), color)) for color in ("white", "black", "red")]
    found = run(Images(str(folder)), [*blank, b"nothing", None])
    for row in found[:3]:
        assert (row["evaluation_image"], row["evaluation_image_score"]) == (None, 0)
    assert found[3] == found[4] == dict.fromkeys(Images.writes.names)


def test_the_threshold_judges_the_score(folder: Path) -> None:
    crop = encoded(photo(3).crop((20, 10, 230, 170)), "JPEG", quality=30)
    (loose,), (strict,) = (run(Images(str(folder), value), [crop]) for value in (0.5, 1.0))
    assert loose["evaluation_image"] == "test/03.png" and strict["evaluation_image"] is None
    assert 0.5 < loose["evaluation_image_score"] == strict["evaluation_image_score"] < 1


def test_folders_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        Images(str(tmp_path / "none")).model_hash()
    with pytest.raises(UsageError, match=r"no file .* ends in \.jpg"):
        Images(str(tmp_path)).prepare(None)
    (tmp_path / "broken.JPG").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match=r"broken\.JPG' does not decode"):
        Images(str(tmp_path)).prepare(None)
    with pytest.raises(ValueError, match="min_similarity"):
        Images(str(folder), 0)


def test_the_hash_of_a_folder_is_that_of_its_content(tmp_path: Path) -> None:
    def written(name: str, files: dict[str, bytes]) -> str:
        (tmp_path / name).mkdir()
        for file, data in files.items():
            (tmp_path / name / file).write_bytes(data)
        return Images(str(tmp_path / name)).model_hash()

    same = written("a", {"x.png": b"1", "y.png": b"2"})
    assert written("b", {"y.png": b"2", "x.png": b"1", "notes.txt": b"?"}) == same
    assert written("c", {"x.png": b"2", "y.png": b"1"}) != same


def test_windows_cover_every_crop_that_keeps_four_fifths() -> None:
    left, right, top, bottom = WINDOWS.T
    assert tuple(WINDOWS[0]) == (0, 1, 0, 1)
    assert ((right - left) * (bottom - top)).min() > 0.76
    draw = np.random.default_rng(1)
    for _ in range(500):
        width = np.exp(draw.uniform(np.log(0.8), 0))
        height = 0.8 / width
        x, y = draw.uniform(0, 1 - width), draw.uniform(0, 1 - height)
        distance = np.abs(WINDOWS - [x, x + width, y, y + height]).max(axis=1)
        assert distance.min() <= 0.041


def test_hamming_search_finds_all_within_seven_bits() -> None:
    draw = np.random.default_rng(2)
    hashes = draw.integers(0, 1 << 63, 3000, dtype=np.uint64)
    queries = hashes[:200].copy()
    for row in range(200):
        for bit in draw.choice(64, row % 8, replace=False):
            queries[row] ^= np.uint64(1) << np.uint64(bit)
    distance = np.bitwise_count(queries[:, None] ^ hashes[None])
    rows, places, bits = Index.of(hashes).near(queries, 7)
    assert set(zip(rows, places, strict=True)) == set(zip(*np.nonzero(distance <= 7), strict=True))
    assert (distance[rows, places] == bits).all()
