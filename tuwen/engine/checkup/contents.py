"""What the files hold: values against the digests in their names, images against their ids, rows against each other."""

from __future__ import annotations

from collections.abc import Iterator

import lance
import pyarrow as pa

from tuwen.corpus.columns import parse_name
from tuwen.corpus.content import ContentDigest
from tuwen.corpus.corpus import Corpus, read_json
from tuwen.corpus.rewriting import sizes_of
from tuwen.corpus.scanning import scan_dataset
from tuwen.corpus.tables import TABLES, digest
from tuwen.engine.checkup.finding import ROWS_LOST, Finding
from tuwen.errors import TuwenError, first_line


def check_contents(corpus: Corpus, table: str) -> Iterator[Finding]:
    """Findings about the values of a table. Reads all of it."""
    dataset = corpus.dataset(table)
    known = _known_digests(corpus)
    names = {number: field.name() for field in dataset.lance_schema.fields() for number in _ids(field)}
    whole = True
    for fragment in dataset.get_fragments():
        columns: dict[str, set[str]] = {}
        for file in fragment.data_files():
            columns.setdefault(str(file.path), set()).update(names[n] for n in file.fields if n in names)
        for name, held in columns.items():
            if not (corpus.path / f"{table}.lance/data" / name).is_file():
                whole = False  # told already
                continue
            ordered = [column for column in dataset.schema.names if column in held]
            found = list(_check_file(corpus, table, fragment, name, ordered, known))
            whole = whole and not found
            yield from found
    if whole:
        yield from _check_rows(corpus, table)


def _known_digests(corpus: Corpus) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in read_json(corpus.path / "base-digests.json").items()}
    except (OSError, TuwenError):
        return {}


def _check_file(
    corpus: Corpus,
    table: str,
    fragment: lance.LanceFragment,
    name: str,
    columns: list[str],
    known: dict[str, str],
) -> Iterator[Finding]:
    origin, where = parse_name(name), f"{table}.lance/data/{name}"
    try:
        if origin is not None:
            problem = (
                None if _digest(fragment, columns) == origin.content else "its values are not those it was written with"
            )
        else:
            problem = _base_problem(table, fragment, columns, known.get(name))
    except Exception as error:  # damaged bytes make readers raise whatever they like
        problem = f"it cannot be read ({first_line(error)})"
    if problem is None:
        return
    if origin is None:
        yield Finding("damaged_file", where, f"rows of {table}, fragment {fragment.fragment_id}: {problem}", ROWS_LOST)
    else:
        yield Finding(
            "damaged_file",
            where,
            f"columns of {origin.stage} for {table}, fragment {fragment.fragment_id}: {problem}",
            "tuwen repair marks them as not computed; the next build computes them",
            "forget_column",
            (where,),
        )


def _digest(fragment: lance.LanceFragment, columns: list[str]) -> str:
    running = ContentDigest()
    for batch in scan_dataset(fragment, columns):
        running.update(batch)
    return running.hexdigest()


def _base_problem(table: str, fragment: lance.LanceFragment, columns: list[str], known: str | None) -> str | None:
    """What is wrong with the base file of a fragment; it may hold whatever a stage has not taken over."""
    key = TABLES[table].key
    if known is not None and _digest(fragment, [key]) != known:
        return "its keys are not those it was written with"
    wrong, example = 0, ""
    for batch in scan_dataset(fragment, columns):
        if "bytes" not in columns:
            continue
        for identity, data in zip(batch["image_id"].to_pylist(), batch["bytes"].to_pylist(), strict=True):
            if data is not None and digest(data) != identity:
                wrong, example = wrong + 1, example or identity
    return f"{wrong} images are not the bytes that their ids are made of, one is {example}" if wrong else None


def _check_rows(corpus: Corpus, table: str) -> Iterator[Finding]:
    key = TABLES[table].key
    if table in ("documents", "images", "pairs", "fetches"):
        repeated = f"SELECT {key} AS id FROM {table} GROUP BY 1 HAVING count(*) > 1"
        ((number, first),) = _rows(corpus, f"SELECT count(*) AS n, min(id) FROM ({repeated})", {table: [key]})
        if number:
            yield Finding(
                "duplicate_rows",
                table,
                f"{number} ids stand for more than one row, one is {first}",
                "export what is there (tuwen export) and build the corpus anew; which row is meant is not known",
            )
        query = (
            f"SELECT source, source_unit, count(*) FROM {table} ANTI JOIN units USING (source, source_unit) "
            "WHERE source_unit IS NOT NULL GROUP BY ALL ORDER BY ALL LIMIT 20"
        )
        columns = ["source", "source_unit"]
        for source, unit, count in _rows(corpus, query, {table: columns, "units": columns}):
            yield Finding(
                "unsealed_rows",
                table,
                f"{count} rows of the unit {source}:{unit}, which is not sealed: it was appended in part",
                "no journal says how to undo it; the next build reads the unit again and leaves out what is there",
            )
    if table == "images":
        yield from _check_freed(corpus)


def _check_freed(corpus: Corpus) -> Iterator[Finding]:
    sizes = [sizes_of(fragment, "bytes") for fragment in corpus.dataset("images").get_fragments()]
    number = sum(int((each < 0).sum()) for each in sizes)
    if number:
        yield Finding(
            "freed_bytes",
            "images",
            f"{number} images have no bytes: tuwen gc freed them; what was computed of them is there",
            "nothing has to be done",
        )


def _rows(corpus: Corpus, query: str, columns: dict[str, list[str]]) -> list[tuple[object, ...]]:
    table = pa.Table.from_batches(reader := corpus.sql(query, columns), reader.schema)
    return [tuple(row.values()) for row in table.to_pylist()]


def _ids(field: object) -> list[int]:
    return [field.id(), *(number for child in field.children() for number in _ids(child))]  # type: ignore[attr-defined]
