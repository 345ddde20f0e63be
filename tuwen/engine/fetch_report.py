"""What became of the URLs of a corpus: classes, hosts, what is still pending, and why the last run failed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import host_sql
from tuwen.engine.fetch import FOLDER
from tuwen.engine.survivorship import survivorship
from tuwen.fetching.diagnosis import TURNS, Finding, HostCounts, diagnose, tld_of
from tuwen.fetching.outcomes import OK, outcome_of
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.parts import configure
from tuwen.selections.tree import literal

if TYPE_CHECKING:
    import duckdb

RUN_GAP_H = 6
"""Hours without any attempt that part two runs of the fetcher."""
LISTS = frozenset({"huggingface", "parquet", "url_list", "webdataset"})
"""Sources whose rows give URLs: those of rows that could not be read are in no table."""
KNOWN_FOR_DAYS = 365
"""How long a host that has answered counts as one that exists."""
MOST_HOSTS = 10_000
"""Hosts that are told apart: half of them the heaviest, half a sample by the hash of their names."""
_ROWS = 4_096
_UNKNOWN_US = -1  # archives may not know when; before every time that is known

# The regular expression of `host_sql` costs as much as all the rest, so it only sees URLs that need it.
_AUTHORITY = "split_part(lower(url), '/', 3)"
_HOST = f"if(translate({_AUTHORITY}, '@:?#', '') = {_AUTHORITY}, {_AUTHORITY}, {host_sql('url')})"
# Of several attempts at one URL: one that brought an image, a sound one if there is; else the latest.
_ENDED = """
create temp table ended as
select url, {host} as host, first_us, final.class as class, final.at_us as at_us, final.is_own as is_own
from (
    select url, min(epoch_us(captured_at)) filter (source = {own}) as first_us,
        max({{
            'is_image': image_id is not null,
            'is_ok': class = 'ok',
            'at_us': coalesce(epoch_us(captured_at), {unknown}),
            'class': class,
            'is_own': source = {own}
        }}) as final
    from (select url, captured_at, source, image_id, {class_sql} as class from fetches)
    group by url
)"""
# Archives hold pages too, which nobody took for images.
_PAGES = """
delete from ended
where class = 'not_an_image' and not is_own and url not in (select image_ref from pairs where image_ref is not null)"""


def findings(corpus: Corpus) -> list[Finding]:
    """Why the last run of the fetcher failed where it did, and what to change."""
    with corpus.connect() as connection:
        _collect(corpus, connection)
        return _findings(corpus, connection)


def urls_of(path: str | Path, outcome: str) -> Iterator[str]:
    """URLs that ended in a class, in their order."""
    corpus = Corpus.open(path).pinned()
    with corpus.connect() as connection:
        _collect(corpus, connection)
        found = connection.execute("select url from ended where class = ? order by url", [outcome])
        while rows := found.fetchmany(_ROWS):
            yield from (url for (url,) in rows)


def fetch_report(path: str | Path, by: Collection[str] = (), num_hosts: int = 10) -> dict[str, Any]:
    """Classes of all URLs, the worst hosts and top-level domains, what is pending, findings about the last run of the
    fetcher, and for each expression in `by` which share of pairs got its image (`tuwen.engine.survivorship`).
    """
    corpus = Corpus.open(path).pinned()
    survived = [survivorship(corpus, text) for text in by]
    with corpus.connect() as connection:
        _collect(corpus, connection)
        classes = _classes(connection)
        return {
            "num_urls": sum(row["num_urls"] for row in classes),
            "num_attempts": corpus.count("fetches"),
            "num_pending": _num_pending(connection),
            "num_bad_records": _num_bad_records(corpus),
            "num_unfinished_files": len(list((corpus.path / FOLDER / "spool").glob("*"))),
            "num_transient": sum(row["num_urls"] for row in classes if row["transient"]),
            "classes": classes,
            "hosts": _worst(connection, "host", num_hosts),
            "tlds": _worst(connection, _TLD, num_hosts),
            "findings": [asdict(finding) for finding in _findings(corpus, connection)],
            "survivorship": survived,
        }


def _findings(corpus: Corpus, connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    known, retried = _last_run(connection)
    return diagnose(_counts(connection), known_hosts=known, retried=retried, settings=_settings(corpus))


def _settings(corpus: Corpus) -> Fetch | None:
    """How the recipe of the last build fetches."""
    mapping = corpus.recipe().get("fetch")
    return configure(Fetch, "fetch", mapping) if mapping else None


def _collect(corpus: Corpus, connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables `ended` (one row per URL) and `sums` (URLs by host and class)."""
    connection.register("pairs", corpus.stored("pairs", ["image_ref"]))
    has_outcome = "outcome" in corpus.current_columns("fetches")
    names = ["url", "captured_at", "error", "image_id", "source", *(["outcome"] if has_outcome else [])]
    connection.register("fetches", corpus.stored("fetches", names))
    ok = literal(OK)
    class_sql = (
        "case when image_id is null then coalesce(error, 'not_an_image') "
        f"when error is null then {f'coalesce(outcome, {ok})' if has_outcome else ok} else {ok} end"
    )
    connection.execute(_ENDED.format(host=_HOST, unknown=_UNKNOWN_US, own=literal(FETCHED), class_sql=class_sql))
    connection.execute(_PAGES)
    connection.execute("create temp table sums as select host, class, count(*) as n from ended group by all")


def _classes(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    rows = connection.execute("select class, sum(n)::bigint from sums group by class order by 2 desc, 1").fetchall()
    total = sum(count for _, count in rows)
    found = []
    for name, count in rows:
        outcome = outcome_of(name)
        described = {"family": outcome.family, "transient": outcome.transient, "meaning": outcome.meaning}
        found.append({"class": name, "num_urls": count, "share": count / total, **described})
    return found


def _num_pending(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute(
        "select count(distinct image_ref) from pairs anti join ended on url = image_ref "
        "where starts_with(image_ref, 'http://') or starts_with(image_ref, 'https://')"
    ).fetchall()
    return int(count)


def _num_bad_records(corpus: Corpus) -> int:
    """Rows of lists that give no URL that can be asked for: they became rows of no table."""
    units = corpus.table("units", ["reader", "num_bad_records"]).to_pylist()
    return sum(unit["num_bad_records"] or 0 for unit in units if LISTS.intersection(json.loads(unit["reader"])[:1]))


_TLD = r"if(regexp_full_match(host, '\[.*|[0-9.]+'), '(address)', regexp_extract(host, '([^.]*)\.?$', 1))"


def _worst(connection: duckdb.DuckDBPyConnection, key: str, limit: int) -> list[dict[str, Any]]:
    """Hosts or domains by URLs without an image, with the class that most of these ended in."""
    rows = connection.execute(
        f"""
        select name, sum(n)::bigint as num_urls, coalesce(sum(n) filter (class = 'ok'), 0)::bigint as num_ok,
            arg_max(class, (n, class)) filter (class != 'ok') as class
        from (select {key} as name, class, sum(n) as n from sums group by all)
        group by name
        having num_urls > num_ok
        order by num_urls - num_ok desc, name
        limit {limit}"""
    ).fetchall()
    return [dict(zip(("name", "num_urls", "num_ok", "class"), row, strict=True)) for row in rows]


def _last_run(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str]]:
    """Make the view `last_run`, the URLs that ended in the fetcher's last run, and the table `kept` of its hosts that
    are told apart.

    Returns those of these hosts that gave images within the year before, and the classes of which most URLs had been
    tried in an earlier run.
    """
    hours = connection.execute("select distinct at_us // 3600000000 as h from ended where is_own order by h").fetchall()
    began = before = None
    for (hour,) in hours:
        if before is None or hour - before > RUN_GAP_H:
            began = hour
        before = hour
    since = int(began or 0) * 3_600_000_000
    turns = ", ".join(literal(name) for name in sorted(TURNS))
    connection.execute(
        f"""
        create temp view last_run as
        select host, class, at_us, first_us < {since} as is_retried from ended where is_own and at_us >= {since};
        create temp table kept as
        select host, turned_us from (
            select host, min(at_us) filter (class in ({turns})) as turned_us,
                row_number() over (order by count(*) desc, host) as by_weight,
                row_number() over (order by md5(host)) as by_hash
            from last_run group by host
        ) where least(by_weight, by_hash) <= {MOST_HOSTS // 2}"""
    )
    known_hosts = connection.execute(
        f"select distinct host from ended semi join kept using (host) where class = 'ok' "
        f"and at_us < {since} and at_us >= {since - KNOWN_FOR_DAYS * 86_400_000_000} order by host"
    )
    known = [host for (host,) in known_hosts.fetchall()]
    retried = connection.execute(
        "select class from last_run group by class having avg(is_retried::int) > 0.5 order by 1"
    )
    return known, [name for (name,) in retried.fetchall()]


def _counts(connection: duckdb.DuckDBPyConnection) -> Iterator[HostCounts]:
    """The last run by host, hosts that are not kept by top-level domain."""
    rows = connection.execute(
        """
        select host, class, count(*), count(*) filter (class = 'ok' and at_us > turned_us)
        from last_run join kept using (host) group by host, class order by host"""
    ).fetchall()
    for host, group in groupby(rows, key=lambda row: row[0]):
        counted = HostCounts(host, tld_of(host))
        for _, name, count, late in group:
            counted.counts[name] = count
            counted.late_ok += late
        yield counted
    others = f"""
        select {_TLD}, class, sum(n)::bigint
        from (select host, class, count(*) as n from last_run anti join kept using (host) group by all)
        group by all order by all"""
    for tld, name, count in connection.execute(others).fetchall():
        yield HostCounts(None, tld, {name: count})
