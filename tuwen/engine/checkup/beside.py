"""What lies beside the tables: versions, ledgers, joins, leftovers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.parquet as pq

from tuwen.corpus.corpus import Corpus, read_json
from tuwen.corpus.tables import TABLES
from tuwen.corpus.versions import older_tables, read_version, version_numbers
from tuwen.engine.checkup.files import size_of
from tuwen.engine.checkup.finding import Finding
from tuwen.errors import TuwenError, first_line
from tuwen.selections.ledger import SCHEMA as LEDGER

_TEMPORARY = re.compile(r"\..+\.\d+(\.partial)?|\..+\.partial|.+\.rewritten")


def check_leftovers(corpus: Corpus) -> Iterator[Finding]:
    """Temporary files of dead processes. Only while nobody writes."""
    folders = [
        corpus.path,
        *(corpus.path / name for name in ("ledgers", "joins", "logs", "versions", "fetching", "states")),
    ]
    left = [path for folder in folders for path in sorted(folder.glob("*")) if _TEMPORARY.fullmatch(path.name)]
    left += sorted((corpus.path / "states").glob("*.partial"))
    left += [path for path in sorted((corpus.path / "tmp").glob("*")) if not _lives(path)]
    left = [path for path in left if path.is_file() or path.parent.name == "tmp"]
    if left:
        yield Finding(
            "leftovers",
            "tmp",
            f"{len(left)} temporary files of runs that are no more",
            "tuwen repair (or the next build) removes them",
            "remove",
            tuple(str(path.relative_to(corpus.path)) for path in left),
            sum(map(size_of, left)),
        )


def _lives(path: Path) -> bool:
    number = path.name.partition("-")[2].partition("-")[0]
    return number.isdigit() and Path(f"/proc/{number}").exists()


def check_versions(corpus: Corpus) -> Iterator[Finding]:
    """Numbered corpus versions whose tables are gone, and tags that no version needs."""
    numbers, known = [], {table: _versions_of(corpus, table) for table in TABLES}
    older = older_tables(corpus)
    for table, (now, then) in older.items():
        yield Finding(
            "older_table",
            f"{table}.lance",
            f"it is at version {now}, and a corpus version has it at {then}: it was put back from an older copy, or "
            "versions from a newer one; rows that came later are lost",
            "put back the whole folder from one copy; to go on without those rows, remove the files in versions",
        )
    for number in version_numbers(corpus.path):
        name = f"versions/{number:06d}.json"
        try:
            tables: dict[str, Any] = read_version(corpus.path, number)["tables"]
            gone = [
                f"{table} {tables[table]}"
                for table in TABLES
                if tables[table] not in known[table] and table not in older  # told already
            ]
        except (TuwenError, KeyError) as error:
            yield Finding("damaged_version", name, str(error), "tuwen repair forgets it", "forget_version", (name,))
            continue
        if gone:
            yield Finding(
                "damaged_version",
                name,
                f"corpus version {number} needs versions of tables that are not there: {', '.join(gone)}",
                "tuwen repair forgets it; it cannot be opened",
                "forget_version",
                (name,),
            )
        else:
            numbers.append(number)
    tags = {f"v{number:06d}" for number in version_numbers(corpus.path)}
    for table in TABLES:
        loose = sorted(set(corpus.dataset(table).tags.list()) - tags)
        if loose:
            yield Finding(
                "loose_tags",
                f"{table}.lance",
                f"tags of corpus versions that were never finished: {', '.join(loose)}",
                "tuwen repair removes them",
                "forget_version",
            )


def _versions_of(corpus: Corpus, table: str) -> set[int]:
    dataset = corpus.dataset(table)
    return {int(each["version"]) for each in dataset.versions()}


def check_ledgers(corpus: Corpus) -> Iterator[Finding]:
    """Ledgers that are damaged, or whose description or rows are missing. All can be judged again."""
    advice = "tuwen repair removes it; it is judged again when it is asked for"
    outlived: dict[str, list[str]] = {}
    names = {
        path.stem
        for path in corpus.path.glob("ledgers/*")
        if path.suffix in (".json", ".parquet") and path.name[0] != "."
    }
    for name in sorted(names):
        rows, described = (corpus.path / "ledgers" / f"{name}.{kind}" for kind in ("parquet", "json"))
        paths = tuple(str(path.relative_to(corpus.path)) for path in (rows, described) if path.exists())
        problem = _ledger_problem(rows, described)
        if problem:
            yield Finding("damaged_ledger", f"ledgers/{name}", problem, advice, "remove", paths)
            continue
        judged = read_json(described).get("corpus_version") or {}
        gone = [t for t, version in judged.items() if t in TABLES and version not in _versions_of(corpus, t)]
        if gone:
            outlived[name] = gone
    if outlived:
        tables = ", ".join(sorted({table for gone in outlived.values() for table in gone}))
        yield Finding(
            "old_ledger",
            "ledgers",
            f"{', '.join(outlived)} were judged on versions of {tables} that are not there any more",
            "nothing has to be done: whoever asks for one compares contents, and judges again if they changed",
        )


def _ledger_problem(rows: Path, described: Path) -> str | None:
    if not described.exists():
        return "rows without their description: a run was killed while it judged"
    if not rows.exists():
        return "a description without its rows"
    try:
        number = read_json(described)["num_rows"]
        file = pq.ParquetFile(rows)
        found = sum(batch.num_rows for batch in file.iter_batches())
        if not file.schema_arrow.equals(LEDGER, check_metadata=False):
            return f"columns {file.schema_arrow.names} in place of {LEDGER.names}"
        return None if found == number else f"{found} rows where its description says {number}"
    except Exception as error:  # damaged bytes make readers raise whatever they like
        return f"it cannot be read ({first_line(error)})"


def check_joins(corpus: Corpus) -> Iterator[Finding]:
    """Joins whose rows are missing or damaged, and rows that no join names."""
    named = set()
    for path in sorted((corpus.path / "joins").glob("*.json")):
        place = f"joins/{path.name}"
        try:
            record = read_json(path)
            rows = corpus.path / "joins" / f"{record['name']}-{record['content']}.arrow"
            named.add(rows.name)
            with pa.memory_map(str(rows)) as source:
                found = pa.ipc.open_file(source).read_all().num_rows
            problem = None if found == record["num_rows"] else f"{found} rows where it says {record['num_rows']}"
        except Exception as error:
            problem = f"its rows cannot be read ({first_line(error)})"
        if problem:
            advice = "join the file again: tuwen join DIR FILE --on KEY; columns that are there stay until then"
            yield Finding("damaged_join", place, problem, advice)
    loose = [
        path
        for path in sorted((corpus.path / "joins").glob("*.arrow"))
        if path.name not in named and path.name[0] != "."
    ]
    if loose:
        yield Finding(
            "orphan_files",
            "joins",
            f"{len(loose)} files of rows that no join names",
            "tuwen repair (or the next join) removes them",
            "remove",
            tuple(str(path.relative_to(corpus.path)) for path in loose),
            sum(map(size_of, loose)),
        )


def check_json(corpus: Corpus) -> Iterator[Finding]:
    """Small files that every command reads."""
    for name, advice, action in (
        ("recipe.json", "build again with the recipe's YAML", None),
        ("base-digests.json", "tuwen repair removes it: it is a cache", "remove"),
    ):
        if (corpus.path / name).exists():
            try:
                read_json(corpus.path / name)
            except TuwenError as error:
                yield Finding("damaged_json", name, str(error), advice, action, (name,) if action else ())


def drop_tags(corpus: Corpus) -> None:
    """Remove tags that no numbered version has."""
    tags = {f"v{number:06d}" for number in version_numbers(corpus.path)}
    for table in TABLES:
        dataset: lance.LanceDataset = corpus.dataset(table)
        for tag in sorted(set(dataset.tags.list()) - tags):
            dataset.tags.delete(tag)
