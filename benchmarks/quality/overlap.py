"""Overlap with evaluation data.

`overlap.images`: half of the demo's real images (every second of those that decode, are at least 48 pixels wide and
high and not blank: drawings of emoji, and screenshots and diagrams) and synthetic photographs are the benchmark,
changed copies of them are sought; found is the very file. Images that are not in the benchmark are the other half and
as many other photographs; the real ones hold the same drawings and dialogs with words of another language, which count
as wrong here although they are nearly copies, or equal. `overlap.texts`: captions and sentences planted among words
drawn at random.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

import tuwen
from tuwen.stages.image.pixels import decode
from tuwen.stages.overlap.images import Images
from tuwen.stages.overlap.texts import Texts

NUM_PHOTOS = 60
LEAST_SIDE = 48
EMOJI = (136, 128)  # pixels of all of the demo's
SHARES = (0.95, 0.9, 0.85, 0.8)
WORDS = 2_000


def tables() -> list[tuple[str, list[str], list[list[str]]]]:
    """Recall by kind of change, wrong hits, and texts."""
    real = _real()
    photos = [_photo(seed) for seed in range(2 * NUM_PHOTOS)]
    with tempfile.TemporaryDirectory() as folder:
        originals = real[::2] + photos[::2]
        for number, image in enumerate(originals):
            (Path(folder) / f"{number:03d}.png").write_bytes(_encoded(image, "PNG"))
        stage = Images(folder)
        state = stage.prepare(None)  # type: ignore[arg-type]
        kinds = _kinds(real[::2])
        rows = []
        for name, change in _changes():
            draw = np.random.default_rng(7)
            right = [
                _found(stage, state, change(image, draw)) == f"{number:03d}.png"
                for number, image in enumerate(originals)
            ]
            rows.append([name, *(_share([right[row] for row in numbers]) for numbers in kinds.values())])
        others = [
            [_found(stage, state, _encoded(image, "PNG")) is not None for image in group]
            for group in (real[1::2], photos[1::2])
        ]
    hits = [hit for group in others for hit in group]
    wrong = [
        [kind, str(len(numbers)), str(sum(hits[row] for row in numbers))]
        for kind, numbers in _kinds(real[1::2]).items()
    ]
    return [
        ("Copies of images that were found:", ["change", *(f"{len(v)} {k}" for k, v in kinds.items())], rows),
        ("Images that are no copies:", ["images", "sought", "found all the same"], wrong),
        ("Texts of 40 words that hold a quote:", ["quoted", "recall", "wrong hits"], _texts()),
    ]


def _kinds(real: list[Image.Image]) -> dict[str, list[int]]:
    """Numbers of the images of each kind: real ones, and photographs after them."""
    emoji = [number for number, image in enumerate(real) if image.size == EMOJI]
    other = [number for number, image in enumerate(real) if image.size != EMOJI]
    photos = list(range(len(real), len(real) + NUM_PHOTOS))
    return {"emoji": emoji, "screenshots and diagrams": other, "photographs": photos}


def _changes() -> Iterator[tuple[str, Callable[[Image.Image, np.random.Generator], bytes]]]:
    for factor in (0.25, 0.5, 2):
        yield f"resized × {factor}", partial(_resized, factor=factor)
    for quality in (30, 60, 95):
        yield f"JPEG, quality {quality}", partial(_compressed, quality=quality)
    for share in SHARES:
        yield f"crop of {share:.0%}, JPEG 80", partial(_cropped, share=share)
    yield "grey", lambda image, _: _encoded(image.convert("L"), "PNG")
    for color in ("white", "black"):
        yield f"border of 5 %, {color}", partial(_bordered, color=color)
    yield "crop of 80 %, grey, half the size, JPEG 40", _all


def _resized(image: Image.Image, _: np.random.Generator, factor: float) -> bytes:
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return _encoded(image.resize(size, Image.Resampling.BICUBIC), "PNG")


def _compressed(image: Image.Image, _: np.random.Generator, quality: int) -> bytes:
    return _encoded(image, "JPEG", quality=quality)


def _cropped(image: Image.Image, draw: np.random.Generator, share: float) -> bytes:
    return _encoded(_crop(image, draw, share), "JPEG", quality=80)


def _bordered(image: Image.Image, _: np.random.Generator, color: str) -> bytes:
    return _encoded(ImageOps.expand(image, round(0.05 * min(image.size)), color), "JPEG", quality=80)


def _all(image: Image.Image, draw: np.random.Generator) -> bytes:
    crop = _crop(image, draw, 0.8)
    return _encoded(crop.resize((crop.width // 2, crop.height // 2)).convert("L"), "JPEG", quality=40)


def _crop(image: Image.Image, draw: np.random.Generator, share: float) -> Image.Image:
    """Any position, any aspect."""
    across = float(np.exp(draw.uniform(np.log(share), 0)))
    width, height = round(image.width * across), round(image.height * share / across)
    left, top = int(draw.integers(image.width - width + 1)), int(draw.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _found(stage: Images, state: pa.Table, data: bytes) -> str | None:
    batch = pa.record_batch([pa.array([data], pa.large_binary())], names=["bytes"])
    name: str | None = stage(batch, [decode(data, stage.pixels)], state)["evaluation_image"][0].as_py()
    return name


def _real() -> list[Image.Image]:
    crawl = Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz"
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text(f"name: crawl\nsources: [{{warc: {{paths: ['{crawl}']}}}}]\n")
        tuwen.build(recipe, Path(folder) / "corpus")
        corpus = tuwen.open(Path(folder) / "corpus")
        ids = sorted(corpus.table("images", ["image_id"])["image_id"].to_pylist())
        decoded = [decode(data).image for data in corpus.images(ids)]
    return [
        image
        for image in decoded
        if image is not None and min(image.size) >= LEAST_SIDE and np.asarray(image.convert("L")).std() > 8
    ]


def _photo(seed: int) -> Image.Image:
    """Noise whose amplitude falls with the frequency, as in photographs, in correlated colours."""
    draw = np.random.default_rng(seed)
    width, height = (int(side) for side in draw.integers(160, 400, 2))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    falling = np.maximum(frequency, 1 / max(width, height)) ** -draw.uniform(1.1, 1.7)
    noise = np.fft.ifft2(np.fft.fft2(draw.standard_normal((4, height, width))) * falling).real
    noise = (noise - noise.mean(axis=(1, 2), keepdims=True)) / noise.std(axis=(1, 2), keepdims=True)
    colors = np.moveaxis(noise[:1] + 0.5 * noise[1:], 0, 2) * 40 + draw.uniform(80, 170, 3)
    return Image.fromarray(colors.clip(0, 255).astype(np.uint8))


def _encoded(image: Image.Image, format: str, **options: int) -> bytes:
    sink = io.BytesIO()
    image.convert("RGB").save(sink, format, **options)
    return sink.getvalue()


def _texts() -> list[list[str]]:
    draw = np.random.default_rng(3)
    sentences = [_words(draw, 20) for _ in range(200)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sentences.txt").write_text("\n\n".join(" ".join(sentence) for sentence in sentences))
        stage = Texts(folder)
        state = stage.prepare(None)  # type: ignore[arg-type]
        rows = []
        for name, length in (("20 words", 20), ("15 words", 15), ("13 words", 13)):
            planted = [" ".join([*_words(draw, 10), *one[:length], *_words(draw, 30 - length)]) for one in sentences]
            clean = [" ".join(_words(draw, 40)) for _ in sentences]
            batch = pa.record_batch({"text": pa.array([*planted, *clean])})
            hits = stage(batch, state)["evaluation_text"].is_valid().to_pylist()
            rows.append([name, _share(hits[: len(planted)]), str(sum(hits[len(planted) :]))])
    return rows


def _words(draw: np.random.Generator, number: int) -> list[str]:
    """Zipf's law, as in texts."""
    return [f"w{min(int(rank), WORDS)}" for rank in draw.zipf(1.3, number)]


def _share(values: list[bool]) -> str:
    return f"{sum(values) / len(values):.3f}"
