"""WebDataset shards: releases of tuwen, img2dataset's output, DataComp. <https://github.com/webdataset/webdataset>"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuwen.engine.local import Workers
from tuwen.errors import UsageError
from tuwen.proof.index import IndexWriter, Rows, digest, indexed
from tuwen.proof.streamed import Streamed
from tuwen.sources import Report
from tuwen.sources.datasets.files import find_files, is_url
from tuwen.sources.datasets.plain_json import BadJson, parse_object
from tuwen.sources.datasets.tar import members
from tuwen.sources.sniffing import image_format

IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "gif", "avif", "bmp", "tif", "tiff"})
MAX_BYTES = 64 << 20  # of an image or a text


@dataclass(frozen=True)
class Webdataset:
    """Uncompressed tar shards; an example is an image with all its texts.

    Texts are those of `KEY.json`'s `texts`, as tuwen writes them, else `KEY.txt`, or the field `text` of the JSON where
    it is named. `columns`: our name → a field of the JSON or a member by its extension; strings, empty where they are
    missing. Shards are read in place.
    """

    paths: tuple[str, ...]
    text: str | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def load(self, folder: Path, side: int, *, crop: bool = False, workers: int = 1) -> Streamed:
        """The examples, in the order of shards and samples."""
        shards = find_files(self.paths, (".tar",), "webdataset")
        for shard in shards:
            if is_url(shard) or not shard.endswith(".tar"):
                raise UsageError(f"{shard!r}: shards are read at random, so they have to be .tar files on this machine")
        places = [Path(shard).resolve() for shard in shards]

        def fill(writer: IndexWriter) -> None:
            with Workers(workers) as pool:
                tasks = [(str(path), self.text, self.columns) for path in places]
                for path, (rows, skipped) in zip(places, pool.ordered(read_shard, tasks), strict=True):
                    writer.files.append(str(path))
                    writer.add([{**row, "file": len(writer.files) - 1} for row in rows], skipped)

        key = ["webdataset", shard_key(places), self.text, self.columns]
        return Streamed(indexed(folder, key, list(self.columns), fill), side, crop=crop, workers=workers)


def shard_key(shards: list[Path]) -> list[Any]:
    """By which shards are known as they were."""
    try:
        found = [(path.resolve(), path.stat()) for path in shards]
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found]


def read_shard(task: tuple[str, str | None, dict[str, str]]) -> tuple[Rows, Counter[str]]:
    """Rows of an index for the samples of a shard, and what was left out."""
    path, text, columns = task
    rows: Rows = []
    skipped: Counter[str] = Counter()
    for name, sample in shard_samples(path, skipped):
        if "image" not in sample:
            skipped["samples without an image"] += 1
            continue
        told = _told(sample, skipped)
        texts = [each for each in _texts(told, text) if each.strip()]
        if not texts:
            skipped["samples without a text"] += 1
            continue
        more = {ours: _word(told.get(theirs.removeprefix("json."))) for ours, theirs in columns.items()}
        rows.append({"name": name, **sample["image"], "texts": texts, **more})
    return rows, skipped


def shard_samples(path: str, skipped: Counter[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and members of each sample: the place of its image, the bytes of all others."""
    report = Report()
    current, sample = "", dict[str, Any]()
    for member in members(path, report, lambda name, num_bytes: num_bytes <= MAX_BYTES):
        if member.kind != "file" or member.data is None:
            if member.kind != "damaged":
                skipped["members that are no plain files, or too large"] += 1
            continue
        folder, slash, base = member.name.rpartition("/")
        stem, _, extension = base.partition(".")
        if (key := folder + slash + stem) != current:
            if sample:
                yield current, sample
            current, sample = key, {}
        extension = extension.lower()
        if extension.rpartition(".")[2] not in IMAGES:
            sample.setdefault(extension, member.data)
        elif "image" not in sample:
            if not image_format(member.data):
                skipped["images that are none by their first bytes"] += 1
                continue
            sample["image"] = {
                "offset": member.offset,
                "num_bytes": member.num_bytes,
                "digest": digest(member.data),
            }
    if sample:
        yield current, sample
    if report.error:
        skipped[f"damages of shards ({report.error})"] += report.num_bad_records


def _told(sample: Mapping[str, Any], skipped: Counter[str]) -> dict[str, Any]:
    """Fields of the JSON, and other members as texts."""
    told: dict[str, Any] = {}
    if "json" in sample:
        try:
            told = parse_object(sample["json"])
        except BadJson:
            skipped["JSON that cannot be read (the samples are kept)"] += 1
    plain = (name for name in sample if name not in ("json", "image"))
    return {**told, **{name: sample[name].decode("utf-8", "replace") for name in plain}}


def _texts(told: Mapping[str, Any], text: str | None) -> list[str]:
    if text is not None:
        return [_word(told.get(text.removeprefix("json.")))]
    found = told.get("texts")
    if isinstance(found, list):
        return [_word(each.get("text") if isinstance(each, dict) else each) for each in found]
    return [_word(told.get("txt", told.get("caption")))]


def _word(value: Any) -> str:
    return "" if value is None else str(value)
