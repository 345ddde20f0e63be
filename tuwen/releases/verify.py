"""Is this folder, byte for byte, the release it says it is, and is the release any good?

Two layers. The manifest's digests find any byte that was changed, added or lost. The checks of the content would find
a release that was wrong when it was sealed: shards with gaps, samples torn apart, ids that are not the hash of their
bytes, images that do not decode, descriptions that contradict the shards.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tuwen import parts
from tuwen.errors import TuwenError
from tuwen.releases.card import CARD
from tuwen.releases.croissant import CROISSANT
from tuwen.releases.datasheet import DATASHEET
from tuwen.releases.decisions import DECISIONS, SCHEMA, is_private
from tuwen.releases.lineage import RECIPE
from tuwen.releases.manifest import MANIFEST, Manifest, file_entry, read_manifest
from tuwen.releases.problem import Problem
from tuwen.releases.shards import SHARD_DIGITS, duplicates, read_parquet, shard_name
from tuwen.releases.writers import PACKAGE, Writer
from tuwen.selections.selection import UNITS

REQUIRED = (CARD, CROISSANT, DATASHEET, DECISIONS, RECIPE)
_STRANGE = "is neither a file nor a folder"
LEFT_OUT = "release: "  # before the reason, in place of a rule
_Rule = tuple[int | None, str | None]  # step and rule
_SHARD = re.compile(rf"(\d{{{SHARD_DIGITS}}})\.(\w+)")


def verify(folder: str | Path, *, allow_code: bool = False) -> list[Problem]:
    """Everything that is wrong with a release, in the order of its files; empty: it is whole.

    Never raises for what is in the folder, only `TuwenError` where there is no folder at all. `allow_code` lets a
    manifest name a writer from outside tuwen.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TuwenError(f"{folder} is no folder; `tuwen release` makes one")
    kinds = _kinds(folder)
    if kinds.get(MANIFEST, stat.S_IFREG) not in (stat.S_IFREG, stat.S_IFDIR):
        return [Problem(MANIFEST, _STRANGE)]
    try:
        manifest = read_manifest(folder)
    except TuwenError as error:
        return [Problem(MANIFEST, str(error))]
    problems = list(_guarded(MANIFEST, lambda: _check_files(folder, manifest, kinds)))
    strange = any(kind not in (stat.S_IFREG, stat.S_IFDIR) for kind in kinds.values())
    if strange or any(_leads_out(name) for name in manifest.files):
        return sorted(problems)  # opening such a thing could hang, or read what is not in the release
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


def _kinds(folder: Path) -> dict[str, int]:
    """Everything in the release by path, and which kind of thing it is; no link is followed, nothing is opened."""
    return {
        (path := Path(parent, name)).relative_to(folder).as_posix(): stat.S_IFMT(path.lstat().st_mode)
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def _check_files(folder: Path, manifest: Manifest, kinds: Mapping[str, int]) -> Iterator[Problem]:
    """Exactly the files of the manifest, with exactly their bytes."""
    expected = {MANIFEST, *manifest.files}
    folders = {str(parent) for name in expected for parent in Path(name).parents}
    for name, kind in sorted(kinds.items()):
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            yield Problem(name, _STRANGE)
        elif name not in (folders if kind == stat.S_IFDIR else expected):
            yield Problem(name, "is not in the manifest")
    for name in REQUIRED:
        if name not in manifest.files:
            yield Problem(name, "is not in the manifest")
    for name, entry in sorted(manifest.files.items()):
        path = folder / name
        if _leads_out(name):
            yield Problem(name, "leads out of the release")
        elif name not in kinds:
            yield Problem(name, "is missing")
        elif kinds[name] != stat.S_IFREG:
            yield Problem(name, "is no file")
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
    """The counts add up to what was judged, and the decisions, row by row, to the counts."""
    import pyarrow.parquet as pq

    footer = pq.read_metadata(folder / DECISIONS)
    schema = footer.schema.to_arrow_schema()
    if footer.num_rows != manifest.decisions["num_rows"]:
        yield Problem(DECISIONS, "number of rows", str(manifest.decisions["num_rows"]), str(footer.num_rows))
    if not schema.equals(SCHEMA):
        yield Problem(DECISIONS, "columns", str(SCHEMA.names), str(schema.names))
        return
    counts: Counter[_Rule] = Counter()
    decisions: Counter[_Rule] = Counter()
    for batch in read_parquet(folder / DECISIONS, ["kind", "step", "rule", "num_rows"]):
        for kind, step, rule, rows in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if kind == "count":
                counts[step, rule] += rows
            else:
                decisions[step, rule] += 1
    yield from _check_counts(manifest, counts)
    for step, rule in counts.keys() | decisions.keys():
        listed, rows = decisions[step, rule], counts[step, rule]
        if listed != rows and (listed or not _may_be_unlisted(manifest, step, rule)):
            yield Problem(DECISIONS, f"decisions of rule {rule!r} of step {step}", str(rows), str(listed))


def _check_counts(manifest: Manifest, counts: Mapping[_Rule, int]) -> Iterator[Problem]:
    """Kept, left out and judged rows, as the manifest has them. Every row of the unit's table is judged."""
    selection = manifest.selection
    expected: dict[str | None, int] = {None: manifest.counts["kept"]}
    expected |= {f"{LEFT_OUT}{reason}": rows for reason, rows in manifest.counts["left_out"].items() if rows}
    found = {rule: rows for (step, rule), rows in counts.items() if step is None}
    for rule in sorted(expected.keys() | found.keys(), key=str):
        if expected.get(rule, 0) != found.get(rule, 0):
            yield Problem(DECISIONS, f"rows {rule or 'kept'}", str(expected.get(rule, 0)), str(found.get(rule, 0)))
    judged = manifest.corpus[UNITS[selection["unit"]]]["rows"]
    total = found.get(None, 0) + sum(rows for (step, _), rows in counts.items() if step is not None)
    if total != judged:
        yield Problem(DECISIONS, "rows kept and refused", f"{judged} judged", str(total))


def _may_be_unlisted(manifest: Manifest, step: int | None, rule: str | None) -> bool:
    """Whether the rows of this rule may be in the counts alone: kept, left out at release, or for rights or safety."""
    if step is None:
        return rule is not None or not manifest.decisions["full_ledger"]
    steps = manifest.selection["steps"]
    definition = json.dumps(steps[step - 1]) if 1 <= step <= len(steps) else "" if step else "taken down"
    return not manifest.decisions["full_ledger"] and is_private(f"{definition} {rule or ''}")


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
