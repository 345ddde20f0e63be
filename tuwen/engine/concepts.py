"""What a corpus talks about: how often each concept is mentioned, under which name, and which pairs mention one.

Frequencies of concepts with their synonyms summed, and the most frequent synonym to call them by: REAL, Parashar et al.
2024, https://arxiv.org/abs/2401.12425
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.engine.plan import Freshness, Order
from tuwen.engine.recipe import Recipe
from tuwen.engine.state import fitted_state
from tuwen.errors import UsageError
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selection_named, selections_of
from tuwen.stages.concepts.entries import is_unicode
from tuwen.stages.concepts.match import Match
from tuwen.stages.concepts.matcher import Matcher, make_index
from tuwen.stages.joined import joined_stages

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

SHOWN = 20
TAIL_SHARE = 0.2  # of the entries that occur, the rarest: the tail
HEAD_SHARE = 0.01
_LINKS = {"pair": "pair_id", "image": "image_id", "document": "document_id"}
_NEXT = "add the stage concepts.match to the recipe and run tuwen build to its end"


def concept_report(
    path: str | Path,
    selection: str | None = None,
    *,
    num_shown: int = SHOWN,
    entries: str | Path | None = None,
    allow_code: bool = False,
) -> dict[str, Any]:
    """How often concepts are mentioned, over all pairs or those that a selection keeps (or whose image it keeps).

    Keys: `docs/json.md`. `entries`: a .jsonl file to write, every entry with `name`, `synonyms`, `count`; it can be
    read as a list of entries again. Memory: about 100 bytes an entry. `UsageError` where `concepts.match` has not
    run, or has to run again.
    """
    corpus, stage, index = _opened(path, allow_code)
    if entries is not None and Path(entries).suffix != ".jsonl":
        raise UsageError(f"--entries {entries}: entries are written as JSON lines; give the file the ending .jsonl")
    with _pairs(corpus, selection, ["text", "concepts"], allow_code) as (connection, columns):
        counts = connection.sql(
            "select concept, count(*) as n from (select unnest(concepts) as concept from chosen) "
            "group by concept order by n desc, concept"
        ).to_arrow_table()
        names = _name_counts(connection, stage, index)
        report = {
            "selection": selection,
            **_texts(connection, "true"),
            "languages": _languages(connection, columns),
            **_head_and_tail(counts, index, names, num_shown),
        }
    if entries is not None:
        _write_entries(Path(entries), counts, index)
    return report


def concept_pairs(
    path: str | Path,
    query: str,
    selection: str | None = None,
    *,
    num_shown: int = SHOWN,
    allow_code: bool = False,
) -> dict[str, Any]:
    """Which pairs mention a concept, by its name or a synonym, in any case and form; what is no entry is sought in the
    texts. Keys: `docs/json.md`. Examples are those with the smallest ids.
    """
    corpus, stage, index = _opened(path, allow_code)
    found = _entry(index, query, stage.fold_chinese)
    with _pairs(corpus, selection, ["text", "concepts"], allow_code) as (connection, columns):
        if found:
            connection.execute("create temp table asked as select unnest(?::varchar[]) as name", [list(found)])
            connection.execute(
                "create temp table mentions as select * from chosen where list_has_any(concepts, "
                "(select list(name) from asked))"
            )
        else:
            _search(connection, query, stage.fold_chinese)
        image = "image_id" if "image_id" in columns else "null::varchar as image_id"
        language = "language" if "language" in columns else "null::varchar as language"
        examples = connection.sql(
            f"select pair_id, text, {language}, {image} from mentions order by pair_id limit {int(num_shown)}"
        ).to_arrow_table()
        num_images = "count(distinct image_id)" if "image_id" in columns else "null"
        ((num_pairs, images),) = connection.execute(f"select count(*), {num_images} from mentions").fetchall()
        return {
            "query": query,
            "concepts": [{"name": name, "synonyms": synonyms} for name, synonyms in sorted(found.items())],
            "selection": selection,
            "num_pairs": num_pairs,
            "num_images": images,
            "languages": _by_language(connection, columns, "mentions"),
            "examples": examples.to_pylist(),
        }


def _opened(path: str | Path, allow_code: bool) -> tuple[Corpus, Match, pa.Table]:
    corpus = Corpus.open(path).pinned()
    recipe = Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    stage: Any = next((each for each in recipe.stages if isinstance(each, Match)), None)
    if stage is None or "concepts" not in corpus.columns("pairs"):
        raise UsageError(f"which concepts the pairs of {path} mention is not known yet; {_NEXT}")
    order = Order.of([*recipe.stages, *joined_stages(corpus.path)])
    pending = Freshness(corpus, order).pending(stage, {})  # a build that was killed leaves a new index, old columns
    index = fitted_state(corpus, stage)
    if pending or index is None:
        reasons = ", ".join(sorted({work.reason for work in pending}))
        raise UsageError(f"the concepts of {path} are out of date ({reasons}); run tuwen build to its end")
    return corpus, stage, index


@contextmanager
def _pairs(
    corpus: Corpus, selection: str | None, reads: list[str], allow_code: bool
) -> Iterator[tuple[duckdb.DuckDBPyConnection, set[str]]]:
    """A connection with the pairs in question as `chosen`, and the names of its columns."""
    known = corpus.current_columns("pairs")
    columns = ["pair_id", *reads, *(name for name in ("language", "image_id", "document_id") if name in known)]
    with corpus.connect() as connection:
        connection.register("pairs", corpus.stored("pairs", columns))
        where = ""
        if selection is not None:
            selections = selections_of(corpus, allow_code=allow_code)
            link = _LINKS[selection_named(selections, selection).unit]
            if link not in columns:
                raise UsageError(f"selection {selection} keeps images, and pairs have no image_id; add pair.resolve")
            connection.register("kept_ids", Ledger.open_or_judge(corpus, selection, selections).kept())
            connection.execute("create temp table kept as select id from kept_ids")
            where = f"where {link} in (select id from kept)"
        connection.execute(f"create temp view chosen as select * from pairs {where}")
        yield connection, set(columns)


def _texts(connection: duckdb.DuckDBPyConnection, where: str) -> dict[str, Any]:
    query = f"select count(concepts), count(*) filter (len(concepts) > 0) from chosen where {where}"
    ((num_texts, num_matched),) = connection.execute(query).fetchall()
    return {"num_texts": num_texts, "num_matched": num_matched, "share": _share(num_matched, num_texts)}


def _languages(connection: duckdb.DuckDBPyConnection, columns: set[str]) -> list[dict[str, Any]]:
    if "language" not in columns:
        return []
    rows = connection.execute(
        "select language, count(concepts) as n, count(*) filter (len(concepts) > 0), "
        "(select count(distinct concept) from (select unnest(concepts) as concept from chosen as inner_ "
        "where inner_.language is not distinct from outer_.language)) "
        "from chosen as outer_ group by language order by n desc, language nulls last"
    ).fetchall()
    return [
        {"language": name, "num_texts": n, "num_matched": hit, "share": _share(hit, n), "num_concepts": concepts}
        for name, n, hit, concepts in rows
    ]


def _by_language(connection: duckdb.DuckDBPyConnection, columns: set[str], table: str) -> list[dict[str, Any]]:
    if "language" not in columns:
        return []
    query = f"select language, count(*) as n from {table} group by language order by n desc, language nulls last"
    return [{"language": name, "num_pairs": n} for name, n in connection.execute(query).fetchall()]


def _name_counts(connection: duckdb.DuckDBPyConnection, stage: Match, index: pa.Table) -> dict[str, tuple[str, int]]:
    """Concept → its most frequent name and the texts with it; empty where no concept has a second name.

    Texts are matched again, because the stored column has one name for all.
    """
    concepts, patterns = index["concept"].to_numpy(), index["pattern"]
    owners = concepts[concepts >= 0]
    if len(np.unique(owners)) == len(owners):
        return {}
    counts = np.zeros(index.num_rows, dtype=np.int64)
    matcher = Matcher(index, fold_chinese=stage.fold_chinese)
    for batch in connection.sql("select text from chosen").to_arrow_reader(8_192):
        counts += _texts_with(matcher, batch["text"].to_pylist(), index.num_rows)
    found: dict[int, tuple[str, int]] = {}
    for row in np.flatnonzero(counts).tolist():
        pattern, best = patterns[row].as_py(), found.get(int(concepts[row]))
        if best is None or (-counts[row], pattern) < (-best[1], best[0]):
            found[int(concepts[row])] = (pattern, int(counts[row]))
    return {index["name"][concept].as_py(): best for concept, best in found.items()}


def _texts_with(matcher: Matcher, texts: list[str | None], num_rows: int) -> NDArray[np.int64]:
    """Number of texts in which each pattern occurs."""
    return np.bincount(matcher.mentions(texts)[1], minlength=num_rows)


def _head_and_tail(
    counts: pa.Table, index: pa.Table, names: dict[str, tuple[str, int]], num_shown: int
) -> dict[str, Any]:
    found = counts["n"].to_numpy()
    num_entries = len(index) - index["name"].null_count
    num_head = max(1, round(HEAD_SHARE * len(found)))
    num_tail = round(TAIL_SHARE * len(found))
    mentions = int(found.sum())

    def shown(rows: pa.Table) -> list[dict[str, Any]]:
        listed = []
        for name, count in zip(rows["concept"].to_pylist(), rows["n"].to_pylist(), strict=True):
            best, best_count = names.get(name, (name, count))
            listed.append({"name": name, "count": count, "most_frequent_name": best, "name_count": best_count})
        return listed

    return {
        "num_entries": num_entries,
        "num_found": len(found),
        "num_mentions": mentions,
        "head_share": _share(int(found[:num_head].sum()), mentions),
        "tail_count": int(found[-num_tail]) if num_tail else None,
        "tail_share": _share(int(found[len(found) - num_tail :].sum()), mentions),
        "head": shown(counts.slice(0, num_shown)),
        "tail": shown(counts.slice(max(num_shown, len(found) - num_shown))),
    }


def _write_entries(path: Path, counts: pa.Table, index: pa.Table) -> None:
    """Every entry with its synonyms and count, most frequent first, then by name."""
    known = dict(zip(counts["concept"].to_pylist(), counts["n"].to_pylist(), strict=True))
    synonyms = _synonyms(index)
    try:
        with path.open("w", encoding="utf-8") as file:
            for name in sorted(synonyms, key=lambda name: (-known.get(name, 0), name)):
                entry = {"name": name, "synonyms": synonyms[name], "count": known.get(name, 0)}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UsageError(
            f"--entries {path} cannot be written: {error.strerror}; name a file in a folder that is there"
        ) from error


def _synonyms(index: pa.Table) -> dict[str, list[str]]:
    """Concept → its other names, ascending."""
    names = index["name"].to_pylist()
    found: dict[str, list[str]] = {name: [] for name in names if name is not None}
    for concept, pattern in zip(index["concept"].to_pylist(), index["pattern"].to_pylist(), strict=True):
        if concept >= 0 and pattern != names[concept]:
            found[names[concept]].append(pattern)
    return {name: sorted(others) for name, others in found.items()}


def _entry(index: pa.Table, query: str, fold_chinese: bool) -> dict[str, list[str]]:
    """Concepts that the query names, with their other names."""
    if not is_unicode(query):
        raise UsageError(f"{query!r} is no UTF-8; set the terminal to UTF-8 and name the concept again")
    asked = make_index([(query, ())], fold_chinese=fold_chinese)
    own = asked.filter(pa.compute.greater_equal(asked["concept"], 0))
    if not own.num_rows:
        raise UsageError(
            f"{query!r} has no letter, digit or symbol; name a concept, such as tuwen concepts DIR 'red fox'"
        )
    rows = np.flatnonzero((index["key"].to_numpy() == own["key"][0].as_py()) & (index["concept"].to_numpy() >= 0))
    named = {index["name"][int(index["concept"][int(row)].as_py())].as_py() for row in rows}
    synonyms = _synonyms(index) if named else {}
    return {name: synonyms[name] for name in named}


def _search(connection: duckdb.DuckDBPyConnection, query: str, fold_chinese: bool) -> None:
    """The table `mentions`: pairs whose text has the query."""
    matcher = Matcher(make_index([(query, ())], fold_chinese=fold_chinese), fold_chinese=fold_chinese)
    ids: list[str] = []
    for batch in connection.sql("select pair_id, text from chosen").to_arrow_reader(8_192):
        rows, _ = matcher.mentions(batch["text"].to_pylist())
        ids += batch["pair_id"].take(pa.array(np.unique(rows))).to_pylist()
    connection.register("matched", pa.table({"id": pa.array(ids, pa.string())}))
    connection.execute("create temp table mentions as select * from chosen where pair_id in (select id from matched)")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
