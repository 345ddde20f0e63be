"""Which URLs a corpus still wants: referenced by a pair or a page, and without an attempt that is final.

The rule of `tuwen.stages.resolution` says what an attempt came to, so that a URL counts as done here exactly when
`pair.resolve` finds an image or a lasting error for it. URLs come host by host in turns (the first of every host, then
the second), so that no host waits behind another and none is hammered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus, narrow_memory
from tuwen.corpus.tables import EVIDENCE, host_sql
from tuwen.engine.plan import Order
from tuwen.errors import UsageError
from tuwen.fetching.attempt import Target
from tuwen.fetching.outcomes import is_transient, outcome_of
from tuwen.fetching.settings import Fetch
from tuwen.parts import name_of
from tuwen.selections.held import HeldFile
from tuwen.selections.selection import UNITS, Selection, selection_named
from tuwen.selections.steps import WITHIN
from tuwen.selections.takedowns import Takedowns
from tuwen.selections.tree import literal
from tuwen.stages import Stage
from tuwen.stages.resolution import ATTEMPTS, DIGITS, MISMATCH, NOT_FETCHED, SURVEYS

if TYPE_CHECKING:
    import duckdb

TARGET = pa.schema(
    [
        ("url", pa.string()),
        ("expected", pa.list_(pa.string())),  # hashes of which one has to match; empty: any bytes will do
        ("refused", pa.string()),  # a class of outcomes that is known without asking
        ("evidence", pa.list_(EVIDENCE)),  # of the page that refuses
    ]
)
BATCH_ROWS = 4_096
# Other bytes came than were expected: worth another try if nothing, or just these bytes, are expected now.
_HAVING_NEW_HASH = f"""
        HAVING any_value(m.key) IS NULL OR count(expected_hash) < count(*)
            OR bool_or(lower(expected_hash[:{len("sha256:") + DIGITS}]) = 'sha256:' || m.sha256)"""
PLACEHOLDER = "placeholder"  # the one class that only the whole corpus shows


def count_targets(corpus: Corpus, settings: Fetch, kept: HeldFile | None = None) -> int:
    """How many URLs a fetch would ask for now."""
    with _wanted(corpus, settings, kept) as (connection, wanted):
        ((count,),) = connection.execute(f"SELECT count(*) FROM ({wanted})").fetchall()
        return int(count)


def write_targets(corpus: Corpus, settings: Fetch, kept: HeldFile | None, file: Path) -> int:
    """Write what is wanted into an Arrow file; returns how many URLs that are."""
    total = 0
    with _wanted(corpus, settings, kept) as (connection, wanted):
        ordered = f"""
            SELECT url, expected, refused, evidence FROM ({wanted})
            ORDER BY row_number() OVER (PARTITION BY host ORDER BY md5(url)), md5(url)"""
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, TARGET) as writer:
            for batch in connection.sql(ordered).to_arrow_reader(BATCH_ROWS):
                total += batch.num_rows
                writer.write_batch(batch.cast(TARGET))
    return total


def failed_targets(corpus: Corpus, settings: Fetch, kept: HeldFile | None) -> dict[str, tuple[str, ...]]:
    """URLs that failed for good, and the hashes of which one has to match; none: any bytes will do.

    Passing classes are not among them, nor refusals of any kind: what was opted out of, blocked here, or not given
    to us (401, 403, 451) is not wanted from elsewhere.
    """
    with _wanted(corpus, settings, kept, failed=True) as (connection, wanted):
        rows = connection.execute(f"SELECT url, expected FROM ({wanted}) WHERE refused IS NULL ORDER BY 1")
        return {url: tuple(expected) for url, expected in rows.fetchall()}


def read_targets(file: Path) -> Iterator[Target]:
    """The targets in their order, a batch in memory at a time."""
    with pa.OSFile(str(file)) as source:
        for batch in pa.ipc.open_stream(source):
            for row in batch.to_pylist():
                evidence = tuple((item["kind"], item["value"]) for item in row["evidence"] or ())
                yield Target(row["url"], tuple(row["expected"]), evidence, row["refused"])


@contextmanager
def _wanted(
    corpus: Corpus, settings: Fetch, kept: HeldFile | None, *, failed: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and the query for (url, host, expected, refused, evidence) of every URL to ask for.

    `kept` is a ledger of pairs: only what it keeps is wanted. `failed`: those that were asked for and are gone instead.
    """
    with corpus.connect(narrow_memory()) as connection:
        used: dict[str, dict[str, None]] = {"pairs": dict.fromkeys(["pair_id", "document_id", "image_ref"])}
        used["pairs"]["expected_hash"] = None
        used["documents"] = dict.fromkeys(["document_id", "rights", *(["nodes"] if kept is None else [])])
        gone = ""
        if corpus.count("tombstones"):
            takedowns = Takedowns(lambda table, *columns: used.setdefault(table, {}).update(dict.fromkeys(columns)))
            gone = takedowns.urls("pairs", "image_ref")
        used.setdefault("fetches", {}).update(dict.fromkeys(name.partition(".")[2] for name in SURVEYS))
        refused = "false"
        if PLACEHOLDER in settings.retry:
            refused = f"image_id IN (SELECT image_id FROM fetches WHERE {_outcome_column(corpus)} = '{PLACEHOLDER}')"
            used["fetches"]["outcome"] = None
        for table, columns in used.items():
            connection.register(table, corpus.stored(table, list(columns)))
        connection.execute(
            "CREATE TEMP TABLE attempts AS "
            f"SELECT key, at_us, image_id IS NOT NULL AND NOT is_refused AS is_image, "
            f"if(is_refused, '{PLACEHOLDER}', error) AS error, sha256 "
            f"FROM (SELECT *, coalesce({refused}, false) AS is_refused FROM ({ATTEMPTS}))"
        )
        connection.register("refusing", _refusing(connection, settings))
        yield connection, _query(connection, settings, kept, gone, failed)


def _query(
    connection: duckdb.DuckDBPyConnection, settings: Fetch, kept: HeldFile | None, gone: str, failed: bool
) -> str:
    chosen = f"SEMI JOIN (SELECT id FROM {kept.sql} WHERE step IS NULL) ON id = pair_id" if kept else ""
    of_pairs = f"SELECT image_ref AS url, document_id, expected_hash FROM pairs {chosen}"
    of_pages = (
        ""
        if kept
        else (
            "UNION ALL SELECT DISTINCT node.image_ref, document_id, NULL "
            "FROM (SELECT document_id, unnest(nodes) AS node FROM documents) WHERE node.image_ref IS NOT NULL"
        )
    )
    _sort_tried(connection, settings)
    asked_for = "IN (SELECT key FROM failed)" if failed else "NOT IN (SELECT key FROM settled)"
    taken_down = f"LEFT JOIN (SELECT gone FROM ({gone})) AS t ON t.gone = url" if gone else ""
    return f"""
        SELECT url, {host_sql("url")} AS host,
            if(count(expected_hash) = count(*), list_sort(list(DISTINCT lower(expected_hash))), []) AS expected,
            CASE {"WHEN bool_or(t.gone IS NOT NULL) THEN 'taken_down'" if gone else ""}
                WHEN bool_or(r.document_id IS NOT NULL) THEN 'opted_out' END AS refused,
            arg_min(r.rights, r.document_id) AS evidence
        FROM ({of_pairs} {of_pages}) AS refs
            LEFT JOIN refusing AS r USING (document_id)
            LEFT JOIN mismatched AS m ON m.key = md5_number_lower(url)
            {taken_down}
        WHERE (starts_with(url, 'http://') OR starts_with(url, 'https://'))
            AND md5_number_lower(url) {asked_for}
        GROUP BY url
        {"" if failed else _HAVING_NEW_HASH}"""


def _sort_tried(connection: duckdb.DuckDBPyConnection, settings: Fetch) -> None:
    """Make the tables of keys `settled`, `failed` for good, and, with what came, `mismatched`, by the last attempt."""
    last = "arg_max(error, coalesce(at_us, -1))"
    found = connection.execute("SELECT DISTINCT error FROM attempts WHERE error IS NOT NULL ORDER BY 1").fetchall()
    errors = [error for (error,) in found]
    again = [error for error in errors if is_transient(error) or error in settings.retry]
    refusals = [error for error in errors if outcome_of(error).family in ("rights", "safety", "blocked")]

    def keys(name: str, having: str, more: str = "") -> None:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT key{more} FROM attempts GROUP BY key HAVING {having}"
        )

    passing = _listed([*again, NOT_FETCHED])
    never = _listed([NOT_FETCHED, *refusals, *filter(is_transient, errors)])
    has_mismatch = f"NOT bool_or(is_image) AND {last} = '{MISMATCH}'"
    keys("settled", f"(bool_or(is_image) OR {last} NOT IN {passing}) AND NOT coalesce({has_mismatch}, false)")
    keys("failed", f"NOT bool_or(is_image) AND {last} NOT IN {never}")
    keys(
        "mismatched",
        f"{has_mismatch} AND {last} NOT IN {passing}",
        ", arg_max(sha256, coalesce(at_us, -1)) AS sha256",
    )


def _listed(values: Iterable[str]) -> str:
    return f"({', '.join(map(literal, values))})"


def _outcome_column(corpus: Corpus) -> str:
    if "outcome" not in corpus.columns("fetches"):
        raise UsageError(f"--retry {PLACEHOLDER}: which images are placeholders is told by the stage fetch.outcome")
    return "outcome"


def _refusing(connection: duckdb.DuckDBPyConnection, settings: Fetch) -> pa.Table:
    """(document_id, rights) of pages that refuse by their own words. Few pages differ in them, so each is read once."""
    from tuwen.fetching.reservations import refusal

    distinct: list[tuple[list[dict[str, Any]]]] = connection.execute(
        "SELECT DISTINCT rights FROM documents WHERE len(rights) > 0"
    ).fetchall()
    refusing = [
        {"rights": rights}
        for (rights,) in distinct
        if refusal([(entry["kind"], entry["value"]) for entry in rights], settings)
    ]
    connection.register("words", pa.Table.from_pylist(refusing, schema=pa.schema([("rights", pa.list_(EVIDENCE))])))
    return connection.sql(
        "SELECT document_id, rights FROM documents WHERE rights IN (SELECT rights FROM words)"
    ).to_arrow_table()


def stages_before_fetching(name: str, selections: Mapping[str, Selection], order: Order) -> list[Stage]:
    """The stages that the selection of what to fetch needs; `UsageError` if one of them needs fetched images."""
    needed: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if name_of(stage) in needed:
            return
        needed[name_of(stage)] = stage
        for table, column in order.inputs(stage):
            if table in ("images", "fetches"):
                raise UsageError(
                    f"fetch.select: the selection {name!r} rests on {name_of(stage)}, which reads {table}.{column}: "
                    "that is not there before fetching"
                )
            if (table, column) in order.writer:
                add(order.writer[table, column])

    for column in columns_judged(name, selections):
        if column in order.writer:
            add(order.writer[column])
        elif column[0] in ("images", "fetches"):
            raise UsageError(
                f"fetch.select: the selection {name!r} reads {'.'.join(column)}, not there before fetching"
            )
    return [stage for stage in order.stages if name_of(stage) in needed]


def columns_judged(name: str, selections: Mapping[str, Selection]) -> Iterator[tuple[str, str]]:
    """(table, column) of everything that a selection and those it builds on read."""
    selection = selection_named(selections, name)
    for column in selection.reads():
        if column.startswith(WITHIN):
            yield from columns_judged(column.removeprefix(WITHIN), selections)
        else:
            prefix, _, bare = column.rpartition(".")
            yield UNITS[prefix or selection.unit], bare
