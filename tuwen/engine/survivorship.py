"""Which part of a corpus survived: the share of pairs whose image was obtained, by language, host, year or anything.

Loss is never even: URLs rot by age, host and country, so what is left differs from what was listed.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, host_sql
from tuwen.errors import UsageError
from tuwen.selections.expressions import Expression
from tuwen.selections.tree import quoted
from tuwen.stages import stage_that_writes

if TYPE_CHECKING:
    import duckdb

MOST_VALUES = 20
HOST, YEAR = "host", "year"
_JOIN = "left join documents as document on document.document_id = pair.document_id"


def _stages(corpus: Corpus) -> list[Any]:
    return list(corpus.recipe().get("stages") or [])


def survivorship(corpus: Corpus, by: str, most_values: int = MOST_VALUES) -> dict[str, Any]:
    """Pairs and obtained images by the value of an expression over pairs.

    The expression may read columns of pairs, `document.COLUMN`, `host` (of the image's URL) and `year` (of the page's
    capture, UTC). Keys: `by`; `num_pairs`, `num_obtained` of all; `rows` of `value` (null: there is none),
    `num_pairs`, `num_obtained`, `share`, largest first, null last; `other`, the same with `num_values` for all values
    beyond the `most_values` largest, or null. `UsageError` for columns that do not exist, and before `pair.resolve`.
    """
    if "image_id" not in corpus.current_columns("pairs"):
        named = any("pair.resolve" in (stage if isinstance(stage, dict) else [stage]) for stage in _stages(corpus))
        advice = "run tuwen build to its end" if named else "add pair.resolve to the recipe, then tuwen build"
        raise UsageError(f"which pairs got their image is not known yet; {advice}")
    used: dict[str, dict[str, None]] = {"pairs": {"image_id": None}, "documents": {}}

    def sql_of(name: str) -> str:
        return column_sql(corpus, name, used)

    sql = Expression.parse(by).to_sql(sql_of)
    join = _JOIN if used["documents"] else ""
    with corpus.connect() as connection:
        for table, names in used.items():
            if names:
                connection.register(table, corpus.stored(table, list(names)))
        connection.execute(
            f"create temp table groups as select try(cast({sql} as varchar)) as value, count(*) as num_pairs, "
            f"count(pair.image_id) as num_obtained from pairs as pair {join} group by 1"
        )
        return {"by": by, **_largest(connection, most_values)}


def _largest(connection: duckdb.DuckDBPyConnection, most_values: int) -> dict[str, Any]:
    """Totals, rows and rest of the table `groups`."""
    rows = connection.execute(
        "select value, num_pairs, num_obtained from groups where value is not null "
        f"order by num_pairs desc, value limit {most_values}"
    ).fetchall()
    num_shown = len(rows)
    rows += connection.execute("select value, num_pairs, num_obtained from groups where value is null").fetchall()
    query = "select count(value), sum(num_pairs), sum(num_obtained) from groups"
    ((num_values, num_pairs, num_obtained),) = connection.execute(query).fetchall()
    total = {"num_pairs": int(num_pairs or 0), "num_obtained": int(num_obtained or 0)}
    other = {
        name: total[name] - sum(row[place] for row in rows) for place, name in ((1, "num_pairs"), (2, "num_obtained"))
    }
    return {
        **total,
        "rows": [{"value": value, **_share(pairs, obtained)} for value, pairs, obtained in rows],
        "other": {"num_values": num_values - num_shown, **_share(**other)} if num_values > num_shown else None,
    }


def _share(num_pairs: int, num_obtained: int) -> dict[str, Any]:
    return {"num_pairs": num_pairs, "num_obtained": num_obtained, "share": num_obtained / num_pairs}


def column_sql(corpus: Corpus, name: str, used: dict[str, dict[str, None]]) -> str:
    """SQL of a column's value, noted in `used`."""
    prefix, _, bare = name.rpartition(".")
    if prefix not in ("", "document"):
        raise UsageError(f"--by: no column {name!r}; it reads columns of pairs, document.NAME, {HOST} and {YEAR}")
    table, alias = ("documents", "document") if prefix else ("pairs", "pair")
    known = corpus.current_columns(table)
    if bare in known:
        used[table][bare] = None
        if prefix:
            used["pairs"]["document_id"] = used["documents"]["document_id"] = None
        return f"{alias}.{quoted(bare)}"
    if name == HOST:
        used["pairs"]["image_ref"] = None
        return f"nullif({host_sql('pair.image_ref')}, '')"
    if name == YEAR:
        captured_at = column_sql(corpus, "document.captured_at", used)
        return f"year(make_timestamp(epoch_us({captured_at})))"
    if stage := stage_that_writes(table, bare):
        raise UsageError(f"--by: no column {name!r} yet; add the stage {stage} to the recipe and run tuwen build")
    close = difflib.get_close_matches(bare, [column for column in known if column not in TABLES[table].blobs], n=1)
    hint = f"did you mean {name[: len(name) - len(bare)] + close[0]!r}?" if close else f"they have {', '.join(known)}"
    raise UsageError(f"--by: {table} have no column {bare!r}; {hint}")
