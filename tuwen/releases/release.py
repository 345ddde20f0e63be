"""Cutting a release: shards, what describes them, and the manifest last, all in a folder that appears at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tuwen
from tuwen import parts
from tuwen.corpus.versions import tag_version
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.anatomy import anatomy
from tuwen.releases.card import CARD, Loading, card, numbers, reencoding, title_of
from tuwen.releases.content import Content, open_content
from tuwen.releases.croissant import CROISSANT, croissant
from tuwen.releases.datasheet import DATASHEET, datasheet
from tuwen.releases.decisions import DECISIONS, salt_of, write_decisions
from tuwen.releases.distributions import distributions
from tuwen.releases.lineage import RECIPE, lineage
from tuwen.releases.manifest import MANIFEST, Manifest, canonical_json, file_entry, plain
from tuwen.releases.measure import Measures, corpus_fingerprint, measure
from tuwen.releases.overlap import check_clean, overlaps
from tuwen.releases.report import REPORT, report
from tuwen.releases.writers import PACKAGE, Writer
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import Selection, selections_of

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

MARKER = ".tuwen-release-in-progress"  # in the hidden folder that a release is cut in; holds the name of its target


def release(
    corpus: Corpus,
    selection: Selection | str,
    to: str | Path,
    format: str = "webdataset",
    parameters: Mapping[str, Any] | None = None,
    *,
    full_ledger: bool = False,
    overwrite: bool = False,
    allow_code: bool = False,
    require_clean: bool = False,
) -> Manifest:
    """Judge a selection (by name: one of the corpus' recipe) where it is out of date, and release what it keeps.

    A build that commits meanwhile changes nothing: the release sees one version of the corpus, which it tags. See
    `write_release` for the rest.
    """
    corpus = corpus.pinned()
    with contextlib.suppress(TuwenError, OSError), corpus.writing():  # a running build tags its own version
        tag_version(corpus, "release")
    selections = selections_of(corpus, allow_code=allow_code)
    ledger = Ledger.open_or_judge(corpus, selection, selections)
    return write_release(
        corpus,
        ledger,
        to,
        format,
        parameters,
        inner=inner_ledgers(corpus, ledger.selection, selections),
        full_ledger=full_ledger,
        overwrite=overwrite,
        allow_code=allow_code,
        require_clean=require_clean,
    )


def inner_ledgers(corpus: Corpus, selection: Selection, selections: Mapping[str, Selection]) -> dict[str, Ledger]:
    """Ledgers of the selections that one builds on (`within`, `images`), directly or not, by name."""
    found: dict[str, Ledger] = {}
    waiting = list(selection.others())
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = Ledger.open_or_judge(corpus, name, selections)
            waiting.extend(found[name].selection.others())
    return found


def write_release(
    corpus: Corpus,
    ledger: Ledger,
    to: str | Path,
    format: str = "webdataset",
    parameters: Mapping[str, Any] | None = None,
    *,
    inner: Mapping[str, Ledger] | None = None,
    full_ledger: bool = False,
    overwrite: bool = False,
    allow_code: bool = False,
    require_clean: bool = False,
    supersedes: Manifest | None = None,
) -> Manifest:
    """Release the kept rows of `ledger` into the folder `to`, which appears only when it is complete.

    `format` is the name of a writer, `parameters` its fields. `inner` holds the ledgers of all selections that this one
    builds on, among them the one that says which images stay inside documents; default: those of the corpus' recipe.
    `full_ledger` writes every decision with plain ids, for home use only. `overwrite` replaces a release at `to`, and
    nothing but a release. `require_clean` refuses (`TuwenError`) what was not compared with benchmarks or overlaps
    with them. `supersedes` is the release that this one is to replace; the manifest and the card then say so.

    Raises `UsageError` for an unknown format, a unit that the format cannot hold, a folder that is taken, or a
    selection that keeps nothing.
    """
    writer: Writer = parts.load(PACKAGE, format, parameters, allow_code=allow_code)
    _check_unit(writer, format, ledger)
    if inner is None:
        inner = inner_ledgers(corpus, ledger.selection, selections_of(corpus, allow_code=allow_code))
    images = inner[ledger.selection.images] if ledger.selection.images else None
    target = Path(to)
    _check_target(target, overwrite)
    with _workplace(target) as workplace:
        partial = workplace / "new"
        partial.mkdir()
        with open_content(corpus, ledger, images, vectors=getattr(writer, "vectors", False)) as content:
            manifest = _write(content, ledger, inner, writer, partial, full_ledger, require_clean, supersedes)
        _sync(partial)
        _replace(partial, target, workplace / "old")
    return manifest


def _write(
    content: Content,
    ledger: Ledger,
    inner: Mapping[str, Ledger],
    writer: Writer,
    folder: Path,
    full_ledger: bool,
    require_clean: bool,
    supersedes: Manifest | None,
) -> Manifest:
    selection = definition_of(ledger.selection, inner)
    if content.query("SELECT count(*) FROM released")[0][0] == 0:
        raise UsageError(
            f"selection {selection['name']!r} keeps nothing to release; `tuwen funnel {content.corpus.path} "
            f"--selection {selection['name']}` shows where the rows went"
        )
    if require_clean:
        check_clean(overlaps(content))  # before hours of writing; images of documents are known only afterwards
    shards = {name: file_entry(folder / name, count) for name, count in writer.write(content, folder).items()}
    num_samples = sum(entry.num_samples or 0 for name, entry in shards.items() if name.startswith("data/"))
    measures = measure(content, writer.sample, num_samples, getattr(writer, "blur", None))
    if require_clean:
        check_clean(measures.overlaps)
    fingerprint, made = corpus_fingerprint(content), lineage(content.corpus)
    salt = salt_of(selection, fingerprint)
    num_decisions = write_decisions(folder / DECISIONS, content, ledger, salt, full=full_ledger)
    manifest = Manifest(
        tuwen_version=tuwen.__version__,
        writer={
            "name": parts.name_of(writer).removeprefix("writers."),
            "version": writer.version,
            "parameters": plain(parts.parameters_of(writer)),
        },
        selection=selection,
        counts={"name": _title(made, selection), **_counts(measures)},
        corpus=fingerprint,
        decisions={
            "num_rows": num_decisions,
            "salt": None if full_ledger else salt,
            "full_ledger": full_ledger,
        },
        files=dict(shards),
        supersedes={"seal": supersedes.seal, "counts": supersedes.counts} if supersedes else None,
    )
    sets, records = writer.record_sets(folder, sorted(shards))
    loading = Loading(writer.configs(), writer.features(content), writer.usage())
    funnels = {each.selection.name: each.funnel() for each in (ledger, *inner.values())}
    about = str(made.get("description") or f"Image-text dataset: {numbers(measures)}.")
    described = {
        RECIPE: canonical_json(made, indent=1),
        CARD: card(manifest, measures, funnels, loading, made, anatomy(content, folder, sorted(shards))),
        DATASHEET: datasheet(manifest, measures, funnels, made),
        REPORT: report(manifest, measures, distributions(content), funnels, made),
        CROISSANT: croissant(
            manifest,
            shards,
            sets,
            records,
            name=title_of(manifest),
            description=" ".join(part for part in (about, reencoding(manifest)) if part),
            licenses=[value for value, _ in measures.licenses if value],
        ),
    }
    for name, data in described.items():
        (folder / name).write_bytes(data)
    for name in (*described, DECISIONS):
        manifest.files[name] = file_entry(folder / name)
    (folder / MANIFEST).write_bytes(manifest.to_bytes())  # last: it vouches for all the others
    return manifest


def definition_of(selection: Selection, inner: Mapping[str, Ledger]) -> dict[str, Any]:
    """As in a recipe, with every selection that it builds on: nobody else has that recipe."""
    definition = selection.to_mapping() | {"name": selection.name, "unit": selection.unit}
    others = {name: ledger.selection.to_mapping() for name, ledger in inner.items()}
    return dict(plain(definition | ({"builds_on": others} if others else {})))


def _counts(measures: Measures) -> dict[str, Any]:
    blurred = dict(zip(("blurred_images", "unchecked_images"), measures.blurred or (), strict=False))
    return (
        {
            "kept": measures.kept,
            "left_out": measures.left_out,
            "samples": measures.num_samples,
            "images": measures.num_images,
            "documents": measures.num_documents,
            "overlap": [overlap.counts() for overlap in measures.overlaps],
        }
        | blurred
        | ({"texts": measures.num_texts} if measures.num_texts else {})
    )


def _title(made: Mapping[str, Any], selection: Mapping[str, Any]) -> str:
    return f"{made['name']}-{selection['name']}" if made.get("name") else str(selection["name"])


def _check_unit(writer: Writer, format: str, ledger: Ledger) -> None:
    selection = ledger.selection
    if selection.unit not in writer.units:
        fitting = [
            name
            for name in parts.names_in(PACKAGE)
            if selection.unit in parts.load_class(PACKAGE, name).units  # type: ignore[attr-defined]
        ]
        raise UsageError(
            f"format {format!r} takes selections of {' or '.join(writer.units)}, but {selection.name!r} selects "
            f"{selection.unit}s; formats for those: {', '.join(fitting)}"
        )


def _check_target(target: Path, overwrite: bool) -> None:
    if target.name in ("", ".."):
        raise UsageError(f"{target} cannot be a release; name a new folder")
    if target.is_symlink():
        raise UsageError(f"{target} is a symbolic link, which a release would replace; name a new folder")
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; name a new folder")
    if any(target.iterdir()):
        if not overwrite:
            raise UsageError(f"{target} is not empty; name a new folder, or pass --overwrite to replace a release")
        if not (target / MANIFEST).is_file():
            raise UsageError(f"{target} is no release (no {MANIFEST}), so it is not overwritten; name a new folder")


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A new hidden folder beside `target`, gone afterwards, and with it what killed releases to `target` left.

    The lock on its marker says that a release still works there; it ends with the process, however that ends.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with (folder / MARKER).open("wb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            marker.write(os.fsencode(target.name))
            marker.flush()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for left in target.parent.glob(f".{escape(target.name)}.*"):  # last: until now it may hold the only whole release
        if _is_abandoned(left, target):
            shutil.rmtree(left, ignore_errors=True)


def _is_abandoned(folder: Path, target: Path) -> bool:
    """Whether `folder` is the workplace of a release to `target` that was killed; anything else is the user's."""
    path = folder / MARKER
    if folder.is_symlink() or path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return marker.read() == os.fsencode(target.name)


def _sync(folder: Path) -> None:
    """Everything below `folder` on disk: the rename must not become durable before what it names."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(partial: Path, target: Path, replaced: Path) -> None:
    if target.exists():
        target.rename(replaced)
    partial.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
