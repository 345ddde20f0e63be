"""Files of the tables: those that no manifest names, those that are named and not there, and indexes without files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lance

from tuwen.corpus.columns import PARTIAL, parse_name
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import index_states
from tuwen.engine.checkup.finding import ROWS_LOST, Finding

# Of a data file, of the folder with its blobs, and of a file that Lance was writing when it was killed.
_LANCE_NAME = re.compile(r"[0-9a-f]{20,}(\.lance)?|\.tmp[0-9A-Za-z]{6}")


@dataclass
class Named:
    """What the manifests of a table name: data files of all versions, of the latest one, and index folders."""

    all_files: set[str] = field(default_factory=set)
    latest: dict[str, int] = field(default_factory=dict)  # file → fragment
    indexes: set[str] = field(default_factory=set)


def check_files(corpus: Corpus, table: str, *, alone: bool) -> Iterator[Finding]:
    """Findings about the files of a table. `alone`: nobody writes, so that what nothing names is left over."""
    folder = corpus.path / f"{table}.lance"
    try:
        dataset = corpus.dataset(table)
        named = _named(dataset)
    except Exception as error:  # damaged manifests make Lance raise whatever it likes
        yield _damaged(corpus, table, error)
        return
    for name in sorted(named.latest):
        if not (folder / "data" / name).is_file():
            yield _missing(table, name, named)
    if alone:
        yield from _orphans(corpus, table, named)
    yield from _check_indexes(corpus, table, dataset)


def _named(dataset: lance.LanceDataset) -> Named:
    named = Named()
    for version in dataset.versions():
        each = lance.dataset(dataset.uri, version=version["version"])
        for fragment in each.get_fragments():
            for file in fragment.data_files():
                named.all_files.add(str(file.path))
                if each.version == dataset.version:
                    named.latest[str(file.path)] = fragment.fragment_id
        for described in each.describe_indices():
            named.indexes |= {str(segment.uuid) for segment in described.segments}
    return named


def _damaged(corpus: Corpus, table: str, error: Exception) -> Finding:
    whole = []
    for manifest in sorted((corpus.path / f"{table}.lance" / "_versions").glob("*.manifest")):
        version = (1 << 64) - 1 - int(manifest.stem) if manifest.stem.isdigit() else 0
        try:
            lance.dataset(str(corpus.path / f"{table}.lance"), version=version).count_rows()
            whole.append(version)
        except Exception:
            continue
    told = f"versions {', '.join(map(str, sorted(whole)))} of it can be read" if whole else "no version can be read"
    return Finding(
        "damaged_table",
        f"{table}.lance",
        f"the table cannot be opened ({str(error).splitlines()[0][:200]}); {told}",
        "put back a copy of the folder, or build anew; which version is meant is not for a program to guess",
    )


def _missing(table: str, name: str, named: Named) -> Finding:
    origin, number = parse_name(name), named.latest[name]
    where = f"{table}.lance/data/{name}"
    if origin is None:
        return Finding(
            "missing_file",
            where,
            f"rows of {table}, fragment {number}, are named by the table and not on the disk",
            ROWS_LOST,
        )
    return Finding(
        "missing_file",
        where,
        f"columns of {origin.stage} for {table}, fragment {number}, are named and not on the disk",
        "tuwen repair marks them as not computed; the next build computes them",
        "forget_column",
        (where,),
    )


def _orphans(corpus: Corpus, table: str, named: Named) -> Iterator[Finding]:
    folder = corpus.path / f"{table}.lance"
    blobs = {name.removesuffix(".lance") for name in named.all_files}
    left: list[Path] = []
    strange: list[Path] = []
    for path in sorted((folder / "data").glob("*")):
        if path.name in named.all_files or path.name in blobs:
            continue
        ours = PARTIAL in path.name or parse_name(path.name) is not None or _LANCE_NAME.fullmatch(path.name)
        (left if ours else strange).append(path)
    for path in sorted((folder / "_indices").glob("*")):
        if path.name not in named.indexes:
            left.append(path)
    if left:
        yield Finding(
            "orphan_files",
            f"{table}.lance",
            f"{len(left)} files that no version of {table} names: a run was killed before it committed them",
            "tuwen repair removes them",
            "remove",
            tuple(str(path.relative_to(corpus.path)) for path in left),
            sum(map(size_of, left)),
        )
    for path in strange:
        yield Finding(
            "strange_file",
            str(path.relative_to(corpus.path)),
            "no version names it, and it has no name that tuwen gives",
            "it is left alone; remove it if you know what it is",
            num_bytes=size_of(path),
        )


def _check_indexes(corpus: Corpus, table: str, dataset: lance.LanceDataset) -> Iterator[Finding]:
    if table not in ("images", "pairs"):
        return
    fragments = {fragment.fragment_id for fragment in dataset.get_fragments()}
    for described in dataset.describe_indices():
        column = described.name.removesuffix("_search")
        place = f"{table}.{column}"
        lost = [s for s in described.segments if not (Path(dataset.uri) / "_indices" / str(s.uuid)).is_dir()]
        covered = {number for segment in described.segments for number in segment.fragment_ids}
        if lost:
            yield Finding(
                "damaged_index",
                place,
                "the index is named by the table and its files are not on the disk: searches fail",
                "tuwen repair makes it anew",
                "reindex",
            )
        elif covered - fragments:
            yield Finding(
                "index_drift",
                place,
                f"the index covers {len(covered - fragments)} fragments that are no more; searches skip those",
                "nothing has to be done; tuwen repair makes it anew",
                "reindex",
            )
    for state in index_states(corpus, [table]):
        if state.num_missing:
            yield Finding(
                "index_drift",
                f"{table}.{state.column}",
                f"the index lacks {state.num_missing} of {state.num_rows + state.num_missing} rows; searches compare "
                "those one by one",
                "nothing has to be done; the next build brings it up to date where that is worth it",
            )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
