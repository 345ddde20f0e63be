"""Two releases beside each other, by the ids of their samples."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuwen.errors import UsageError
from tuwen.releases.manifest import Manifest, read_manifest
from tuwen.releases.shards import read_parquet

KEYS = ("pair_id", "document_id", "image_id")
EXAMPLES = 12


@dataclass(frozen=True)
class Compared:
    """Samples by their ids: how many both hold, only A, only B, with some ids of the last two."""

    key: str
    both: int
    only_a: int
    only_b: int
    ids_a: list[str]
    ids_b: list[str]
    counts: list[tuple[str, Any, Any]]  # figures of the two manifests, by their name
    settings: list[tuple[str, str, str]]  # what was set differently


def compare(a: Path, b: Path) -> Compared:
    """Compare two releases. `UsageError` where their samples have no id in common."""
    manifests = read_manifest(a), read_manifest(b)
    (key_a, ids_a), (key_b, ids_b) = (_ids(folder, each) for folder, each in zip((a, b), manifests, strict=True))
    if key_a != key_b:
        raise UsageError(f"{a.name} holds samples by {key_a}, {b.name} by {key_b}; compare releases of one kind")
    # 16 bytes each instead of text of 32: ten million samples are 1 GB of sets less.
    one, two = (frozenset(map(bytes.fromhex, ids)) for ids in (ids_a, ids_b))
    gone, new = one - two, two - one
    return Compared(
        key_a,
        len(one & two),
        len(gone),
        len(new),
        [each.hex() for each in sorted(gone)[:EXAMPLES]],
        [each.hex() for each in sorted(new)[:EXAMPLES]],
        _figures(*manifests),
        _settings(*manifests),
    )


def _figures(a: Manifest, b: Manifest) -> list[tuple[str, Any, Any]]:
    names = [name for name, value in {**a.counts, **b.counts}.items() if isinstance(value, int)]
    found = [(name, a.counts.get(name, 0), b.counts.get(name, 0)) for name in names]
    size_a, size_b = (sum(file.num_bytes for file in each.files.values()) for each in (a, b))
    return [*found, ("bytes", size_a, size_b)]


def _settings(a: Manifest, b: Manifest) -> list[tuple[str, str, str]]:
    pairs = [
        ("selection", a.selection.get("name"), b.selection.get("name")),
        ("steps", a.selection.get("steps"), b.selection.get("steps")),
        ("format", a.writer.get("name"), b.writer.get("name")),
        ("parameters", a.writer.get("parameters"), b.writer.get("parameters")),
        ("tuwen", a.tuwen_version, b.tuwen_version),
    ]
    return [(name, str(one), str(two)) for name, one, two in pairs if one != two]


def _ids(folder: Path, manifest: Manifest) -> tuple[str, Iterator[str]]:
    shards = sorted(name for name in manifest.files if name.startswith("data/"))
    if shards and shards[0].endswith(".tar"):
        return "image_id", _tar_keys([folder / name for name in shards])
    if shards and shards[0].endswith(".parquet"):
        import pyarrow.parquet as pq

        known = pq.read_schema(folder / shards[0]).names
        key = next((name for name in KEYS if name in known), None)
        if key is not None:
            return key, _column([folder / name for name in shards], key)
    raise UsageError(
        f"{folder.name} is of format {manifest.writer.get('name')!r}, whose samples this page cannot compare"
    )


def _tar_keys(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        with tarfile.open(path) as tar:
            names = dict.fromkeys(member.name.partition(".")[0].rpartition("/")[2] for member in tar)
        yield from names


def _column(paths: list[Path], key: str) -> Iterator[str]:
    for path in paths:
        for batch in read_parquet(path, [key]):
            yield from batch.column(0).to_pylist()
