"""Pairs of a release, or of anything that a source reads, with their images at the size that a small model sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.sources import Report, Source
from tuwen.stages.image.pixels import THUMBNAIL, decode

EMBEDDED = "data:sha256,"


@dataclass
class Pairs:
    """Images uint8 (M, side, side, 3); of each of N pairs its image (N,), text, language and host.

    `skipped`: images that do not decode, texts without an image, samples that the reader could not use, and damage of
    shards, counted.
    """

    images: NDArray[np.uint8]
    image: NDArray[np.int64]
    texts: list[str]
    languages: list[str]
    hosts: list[str]
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.int64]) -> Pairs:
        """These pairs, with all images."""
        texts, languages, hosts = (
            [values[row] for row in rows.tolist()] for values in (self.texts, self.languages, self.hosts)
        )
        return Pairs(self.images, self.image[rows], texts, languages, hosts, self.skipped)


@lru_cache(maxsize=8)
def pairs_of(path: str, side: int) -> Pairs:
    """All pairs of a folder of shards (WebDataset or Parquet: tuwen's own releases, img2dataset's output, and others).

    In the order of shards, which is that of content hashes in tuwen's releases. Memory: 3 · side² bytes an image.
    `UsageError` where there is nothing to read.
    """
    source = source_of(path)
    place: dict[str, int] = {}
    images: list[NDArray[np.uint8]] = []
    skipped: dict[str, int] = {}
    texts: list[str] = []
    languages: list[str] = []
    hosts: list[str] = []
    image: list[int] = []
    num_samples = 0
    for unit in source.units():
        report = Report()
        urls: dict[str, str] = {}
        rows: list[dict[str, Any]] = []
        for table, batch in source.read(unit, report):
            if table == "images":
                for row in batch.select(["image_id", "bytes"]).to_pylist():
                    _add_image(row["image_id"], row["bytes"], side, place, images, skipped)
            elif table == "fetches":
                for row in batch.select(["url", "image_id"]).to_pylist():
                    urls[row["url"]] = row["image_id"]
            elif table == "pairs":
                rows += batch.select(["image_ref", "text", "given"]).to_pylist()
        for row in rows:
            reference = row["image_ref"] or ""
            number = place.get(reference.removeprefix(EMBEDDED), place.get(urls.get(reference) or "", -1))
            if number < 0 or not (row["text"] or "").strip():
                _count(skipped, "pairs without an image or a text")
                continue
            given = _given(row["given"])
            image.append(number)
            texts.append(row["text"])
            languages.append(str(given.get("language") or ""))
            hosts.append(urlsplit(str(given.get("document_url") or reference)).hostname or "")
        num_samples += report.num_records
        if report.num_records and report.num_bad_records:
            _count(skipped, "samples that could not be read", report.num_bad_records)
        if report.error:
            _count(skipped, f"damaged shards ({report.error})")
    if not texts:
        raise UsageError(_nothing(path, num_samples, skipped))
    languages = _told(texts, languages)
    return Pairs(np.stack(images), np.array(image, np.int64), texts, languages, hosts, skipped)


def source_of(path: str) -> Source:
    """The source that reads a folder; `UsageError` where it has no shards."""
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"{path} is no folder; give that of a release (tuwen release … --to FOLDER)")
    if (folder / "corpus.json").is_file():
        raise UsageError(
            f"{path} is a corpus; release a selection of it: tuwen release {path} --selection NAME --to FOLDER"
        )
    if any(folder.rglob("*.tar")) or any(folder.rglob("*.tar.gz")):
        from tuwen.sources.webdataset import Webdataset

        return Webdataset(paths=[path])
    if any(each.name != "decisions.parquet" for each in folder.rglob("*.parquet")):
        from tuwen.sources.parquet import Parquet

        return Parquet(paths=[path])
    raise UsageError(f"{path} has no .tar and no .parquet; release it as webdataset or parquet, with images")


def fingerprint_of(path: str) -> str:
    """By which a folder of shards is known: names and digests of its units."""
    return " ".join(unit.name for unit in source_of(path).units())


def _add_image(
    image_id: str,
    data: bytes | None,
    side: int,
    place: dict[str, int],
    images: list[NDArray[np.uint8]],
    skipped: dict[str, int],
) -> None:
    if image_id in place:
        return
    pixels = pixels_of(data, side)
    place[image_id] = len(images) if pixels is not None else -1
    if pixels is None:
        _count(skipped, "images that do not decode")
    else:
        images.append(pixels)


def pixels_of(data: bytes | None, side: int) -> NDArray[np.uint8] | None:
    """uint8 (side, side, 3), the whole image whatever its shape; nothing where it does not decode."""
    from PIL import Image

    thumbnail = decode(data, max(side, THUMBNAIL)).thumbnail
    if thumbnail is None:
        return None
    return np.asarray(thumbnail.resize((side, side), Image.Resampling.BICUBIC))


def _told(texts: list[str], languages: list[str]) -> list[str]:
    """Languages as the release says them; where it says none, as the text looks."""
    from tuwen.stages.languages import expectation, identify

    unknown = sorted({text for text, language in zip(texts, languages, strict=True) if not language})
    found = identify(unknown, [expectation(None, 0.0)] * len(unknown)) if unknown else []
    known = {text: one.language for text, one in zip(unknown, found, strict=True)}
    return [language or known[text] for text, language in zip(texts, languages, strict=True)]


def _given(told: str | None) -> dict[str, Any]:
    return json.loads(told) if told else {}


def _count(skipped: dict[str, int], what: str, number: int = 1) -> None:
    skipped[what] = skipped.get(what, 0) + number


def told_skipped(skipped: Mapping[str, int]) -> str:
    """What was left out, in words."""
    return ", ".join(f"{what}: {number:,}" for what, number in skipped.items())


def _nothing(path: str, num_samples: int, skipped: Mapping[str, int]) -> str:
    """Why a folder gives no pair."""
    if num_samples:
        return f"{path} holds {num_samples:,} samples, none of them can be decoded ({told_skipped(skipped)})"
    reason = told_skipped(skipped) or "it is empty"
    return f"{path} holds no pair of an image and a text that could be read: {reason}"
