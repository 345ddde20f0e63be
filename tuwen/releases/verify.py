"""Is this folder, byte for byte, the release it says it is, and is the release any good?

Two layers. The manifest's digests find any byte that was changed, added or lost. The checks of the content would find
a release that was wrong when it was sealed: shards with gaps, samples torn apart, ids that are not the hash of their
bytes, images that do not decode, descriptions that contradict the shards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tuwen import parts
from tuwen.errors import TuwenError
from tuwen.releases.card import CARD
from tuwen.releases.croissant import CROISSANT
from tuwen.releases.datasheet import DATASHEET
from tuwen.releases.decisions import DECISIONS, SCHEMA
from tuwen.releases.lineage import RECIPE
from tuwen.releases.manifest import MANIFEST, Manifest, file_entry, read_manifest
from tuwen.releases.problem import Problem
from tuwen.releases.shards import SHARD_DIGITS, duplicates, read_parquet, shard_name
from tuwen.releases.writers import PACKAGE, Writer

REQUIRED = (CARD, CROISSANT, DATASHEET, DECISIONS, RECIPE)
_SHARD = re.compile(rf"(\d{{{SHARD_DIGITS}}})\.(\w+)")


def verify(folder: str | Path, *, allow_code: bool = False) -> list[Problem]:
    """Everything that is wrong with a release, in the order of its files; empty: it is whole.

    Never raises for what is in the folder, only `TuwenError` where there is no folder at all. `allow_code` lets a
    manifest name a writer from outside tuwen.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TuwenError(f"{folder} is no folder; `tuwen release` makes one")
    try:
        manifest = read_manifest(folder)
    except TuwenError as error:
        return [Problem(MANIFEST, str(error))]
    problems = list(_check_files(folder, manifest))
    if any(_leads_out(name) for name in manifest.files):
        return sorted(problems)
    for file, check in _checks(folder, manifest, allow_code):
        problems.extend(_guarded(file, check))
    return sorted(set(problems))


def _checks(
    folder: Path, manifest: Manifest, allow_code: bool
) -> Iterator[tuple[str, Callable[[], Iterator[Problem]]]]:
    yield MANIFEST, lambda: _check_shards(manifest)
    for name in sorted(name for name in manifest.files if name.endswith(".parquet")):
        yield name, partial(_check_columns, folder, name)
    yield MANIFEST, lambda: _check_writer(folder, manifest, allow_code)
    yield DECISIONS, lambda: _check_decisions(folder, manifest)
    yield CROISSANT, lambda: _check_croissant(folder, manifest)
    yield RECIPE, lambda: _check_json(folder / RECIPE)
    yield CARD, lambda: _check_card(folder, manifest)


def _guarded(file: str, check: Callable[[], Iterator[Problem]]) -> Iterator[Problem]:
    """The problems a check finds; damage that makes it fail is one of them."""
    try:
        yield from check()
    except Exception as error:  # damaged bytes make readers raise whatever they like
        yield Problem(file, f"cannot be read: {type(error).__name__}: {error}")


def _check_files(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Exactly the files of the manifest, with exactly their bytes."""
    expected = {MANIFEST, *manifest.files}
    folders = {str(parent) for name in expected for parent in Path(name).parents}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            yield Problem(name, "is neither a file nor a folder")
        elif name not in (folders if path.is_dir() else expected):
            yield Problem(name, "is not in the manifest")
    for name in REQUIRED:
        if name not in manifest.files:
            yield Problem(name, "is not in the manifest")
    for name, entry in sorted(manifest.files.items()):
        path = folder / name
        if _leads_out(name):
            yield Problem(name, "leads out of the release")
        elif not path.is_file():
            yield Problem(name, "is missing")
        elif (size := path.stat().st_size) != entry.num_bytes:
            yield Problem(name, "size in bytes", str(entry.num_bytes), str(size))
        elif (found := file_entry(path).sha256) != entry.sha256:
            yield Problem(name, "SHA-256", entry.sha256, found)


def _leads_out(name: str) -> bool:
    return ".." in Path(name).parts or Path(name).is_absolute()


def _check_shards(manifest: Manifest) -> Iterator[Problem]:
    """Shards are numbered without gaps and say how many samples they hold."""
    folders: dict[str, list[str]] = {}
    for name, entry in sorted(manifest.files.items()):
        parent, _, leaf = name.rpartition("/")
        if not parent:
            continue
        folders.setdefault(parent, []).append(leaf)
        if not entry.num_samples:
            yield Problem(name, "number of samples", "at least 1", str(entry.num_samples))
    for parent, leaves in folders.items():
        extension = leaves[0].rpartition(".")[2]
        for index, leaf in enumerate(leaves):
            if not _SHARD.fullmatch(leaf) or leaf != shard_name(index, extension):
                yield Problem(f"{parent}/{leaf}", "shards have a gap", shard_name(index, extension), leaf)
                break


def _check_columns(folder: Path, name: str) -> Iterator[Problem]:
    """No column twice: most readers then refuse the whole file."""
    import pyarrow.parquet as pq

    for column in duplicates(pq.read_schema(folder / name).names):
        yield Problem(name, f"column {column!r} occurs more than once")


def _check_writer(folder: Path, manifest: Manifest, allow_code: bool) -> Iterator[Problem]:
    """What the format itself promises, shard by shard, and the totals."""
    writer: Writer = parts.load(PACKAGE, manifest.writer["name"], manifest.writer["parameters"], allow_code=allow_code)
    if writer.version != manifest.writer["version"]:
        yield Problem(MANIFEST, "writer version", str(writer.version), str(manifest.writer["version"]))
    shards = {name: entry.num_samples or 0 for name, entry in manifest.files.items() if "/" in name}
    if not shards:
        yield Problem(MANIFEST, "release has no shards", "at least one", "none")
    yield from _check_each(writer, folder, shards)
    counts = manifest.counts
    in_data = sum(count for name, count in shards.items() if name.startswith("data/"))
    if in_data != counts["samples"]:
        yield Problem(MANIFEST, "samples in all shards", str(counts["samples"]), str(in_data))
    if writer.sample == "image" and counts["images"] != counts["samples"]:
        yield Problem(MANIFEST, "one sample for each image", str(counts["images"]), str(counts["samples"]))
    released = counts.get("texts", counts["samples"])
    if released + sum(counts["left_out"].values()) != counts["kept"]:
        yield Problem(MANIFEST, "released and left out", f"{counts['kept']} kept", f"{released} released")


def _check_each(writer: Writer, folder: Path, shards: dict[str, int]) -> Iterator[Problem]:
    try:
        yield from writer.check(folder, shards)
    except Exception as error:  # find out which file it was: one damaged shard must not hide the state of the others
        broken = [name for name in sorted(shards) if not _readable(folder / name)]
        for name in broken or [MANIFEST]:
            yield Problem(name, f"cannot be read: {type(error).__name__}: {error}")


def _readable(path: Path) -> bool:
    from tuwen.releases.writers.webdataset import read_samples

    try:
        for _ in read_samples(path) if path.suffix == ".tar" else read_parquet(path):
            pass
    except Exception:
        return False
    return True


def _check_decisions(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    import pyarrow.parquet as pq

    rows = 0
    for batch in read_parquet(folder / DECISIONS):
        rows += batch.num_rows
    if rows != manifest.decisions["num_rows"]:
        yield Problem(DECISIONS, "number of rows", str(manifest.decisions["num_rows"]), str(rows))
    if not pq.read_schema(folder / DECISIONS).equals(SCHEMA):
        yield Problem(DECISIONS, "columns", str(SCHEMA.names), str(pq.read_schema(folder / DECISIONS).names))


def _check_croissant(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    described = json.loads((folder / CROISSANT).read_bytes())
    digests = {entry["contentUrl"]: entry["sha256"] for entry in described["distribution"] if "contentUrl" in entry}
    expected = {name: entry.sha256 for name, entry in manifest.files.items() if "/" in name}
    for name in sorted(digests.keys() | expected.keys()):
        if digests.get(name) != expected.get(name):
            yield Problem(CROISSANT, f"SHA-256 of {name}", str(expected.get(name)), str(digests.get(name)))

    for record_set in described["recordSet"]:
        for field in duplicates(entry["@id"] for entry in record_set["field"]):
            yield Problem(CROISSANT, f"field {field!r} occurs more than once")


def _check_json(path: Path) -> Iterator[Problem]:
    json.loads(path.read_bytes())
    yield from ()


def _check_card(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    import yaml

    text = (folder / CARD).read_text(encoding="utf-8")
    parts_of_card = text.split("---\n", 2)
    matter = yaml.safe_load(parts_of_card[1]) if len(parts_of_card) == 3 and not parts_of_card[0] else None
    if not isinstance(matter, dict):
        yield Problem(CARD, "YAML front matter", "a mapping between two lines of ---", "none")
        return
    for key in ("license", "language", "size_categories", "task_categories", "configs"):
        if key not in matter:
            yield Problem(CARD, f"front matter has no {key!r}")
    for config in matter.get("configs", []):
        if not any(Path(name).match(config["data_files"]) for name in manifest.files):
            yield Problem(CARD, f"config {config['config_name']!r} matches no file", config["data_files"], "none")
