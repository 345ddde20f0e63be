"""What a corpus is mixed from: per source (or language, host, anything) how much, of what kind and quality, and how
much of it every other source holds too; before a selection and after it.

WuDaoMM (https://arxiv.org/abs/2203.11480) begins with corpora that are put together from sources nobody has compared;
"Quality Not Quantity" (https://arxiv.org/abs/2208.05516) shows that adding a source can make a corpus worse.

A source is seen through its pairs: an image that two of them show is one row of `images`, and counts for both. What two
sources share is counted through one bit per source: a key (image, cluster, text, concept) has the bits of all sources
that hold it, and keys with equal bits are counted together, so memory holds one number per key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tuwen.corpus.corpus import Corpus
from tuwen.engine.survivorship import column_sql
from tuwen.errors import UsageError
from tuwen.fetching.settings import FETCHED
from tuwen.selections.expressions import Expression
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selection_named, selections_of
from tuwen.selections.tree import literal, quoted

if TYPE_CHECKING:
    import duckdb

MOST_VALUES = 20
SOURCE = "source"
TOP = 5
_CLUSTERS = {"images": "image_cluster", "pairs": "text_cluster"}
_SIDES = ("width", "height")
# Spaces of any script, case and composed or combining accents make no other text.
_NORMAL = r"md5_number(nullif(trim(lower(nfc_normalize(regexp_replace(pair.text, '[\s\p{Z}]+', ' ', 'g')))), ''))"
_KEYS = {"pair": "pair_id", "image": "image_id", "document": "document_id"}


@dataclass
class _Mix:
    """A connection with the tables of one report, and which columns the corpus has for it."""

    corpus: Corpus
    connection: duckdb.DuckDBPyConnection
    by: str
    values: list[tuple[str | None, int]] = field(default_factory=list)  # value and how many it stands for, by position
    pair_numbers: Mapping[str, str] = field(default_factory=dict)  # column of pairs → name in `members`
    image_numbers: Mapping[str, str] = field(default_factory=dict)

    def has(self, table: str, column: str) -> bool:
        """Whether a stage of the recipe, a join or the source keeps this column."""
        return column in self.corpus.current_columns(table)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """A small result."""
        return self.connection.execute(sql).fetchall()


def mixture(
    path: str | Path,
    by: str = SOURCE,
    selection: str | None = None,
    most_values: int = MOST_VALUES,
    *,
    allow_code: bool = False,
) -> dict[str, Any]:
    """The report; docs/json.md says what it holds.

    `by` is an expression over pairs, as in `survivorship`: columns of pairs, document.COLUMN, `host`, `year`. With a
    selection of pairs, images or documents, the pairs of what it keeps are reported beside all. Groups beyond the
    `most_values` largest are put together.
    """
    corpus = Corpus.open(path).pinned()
    if not 1 <= most_values <= 60:
        raise UsageError(f"between 1 and 60 values can be compared, not {most_values}; the others are put together")
    ledger = None
    if selection is not None:
        selections = selections_of(corpus, allow_code=allow_code)
        ledger = Ledger.open_or_judge(corpus, selection_named(selections, selection).name, selections)
    with corpus.connect() as connection:
        mix = _Mix(corpus, connection, by)
        _group(mix, by, ledger, most_values)
        _members(mix)
        _shown(mix, ledger)
        before, after = _figures(mix, ""), _figures(mix, "_kept") if ledger else None
        return {
            "by": by,
            "selection": selection,
            "rows": _rows(mix, before, after),
            "shared": before["shared"],
            "shared_kept": after["shared"] if after else None,
        }


def _group(mix: _Mix, by: str, ledger: Ledger | None, most_values: int) -> None:
    """Make the view `grouped`: pairs with `_place`, the number of their group, and whether they are `_kept`."""
    used: dict[str, dict[str, None]] = {"pairs": dict.fromkeys(_pair_columns(mix)), "documents": {}}
    value = f"try(cast({Expression.parse(by).to_sql(lambda name: column_sql(mix.corpus, name, used))} as varchar))"
    joined = "left join documents as document on document.document_id = pair.document_id" if used["documents"] else ""
    used["documents"] |= {"document_id": None, SOURCE: None}
    image_columns = ["image_id", SOURCE, *filter(lambda name: mix.has("images", name), _image_columns(mix))]
    for table, names in (*used.items(), ("images", image_columns), ("fetches", ["image_id", SOURCE])):
        mix.connection.register(table, mix.corpus.stored(table, list(dict.fromkeys(names))))
    counted = f"select {value} as _by, count(*) as n from pairs as pair {joined} group by 1"
    if by == SOURCE:  # a source may bring no pairs
        counted += f" union all select {SOURCE}, 0 from documents group by 1"
        counted += f" union all select {SOURCE}, 0 from images where {SOURCE} <> {literal(FETCHED)} group by 1"
    mix.connection.execute(
        f"create temp table counted as select _by, sum(n)::bigint as n from ({counted}) group by _by; "
        "create temp table top as select _by, (row_number() over (order by n desc, _by) - 1)::utinyint as _top "
        f"from counted where _by is not null order by _top limit {most_values}"
    )
    values = [(value, 1) for (value,) in mix.rows("select _by from top order by _top")]
    ((num_values,),) = mix.rows("select count(_by) from counted")
    mix.values = [*values, (None, 0), (None, num_values - len(values))]
    mix.connection.execute(f"create temp view grouped as {_grouped(mix, value, joined, ledger)}")


def _grouped(mix: _Mix, value: str, joined: str, ledger: Ledger | None) -> str:
    kept = "true"
    if ledger is not None:
        ids = f"select try_cast(id as uuid) as id from {ledger.file.sql} where step is null"
        mix.connection.execute(f"create temp table kept_ids as {ids}")
        key = _KEYS[ledger.selection.unit]
        kept = f"try_cast({key} as uuid) in (from kept_ids)" if mix.has("pairs", key) else "false"
    return (
        f"select pair.* exclude (_by), {_position(mix)} as _place, coalesce({kept}, false) as _kept "
        f"from (select pair.*, {value} as _by from pairs as pair {joined}) as pair left join top using (_by)"
    )


def _position(mix: _Mix, value: str = "_by") -> str:
    none, other = len(mix.values) - 2, len(mix.values) - 1
    return f"(case when {value} is null then {none} else coalesce(_top, {other}) end)::utinyint"


def _pair_columns(mix: _Mix) -> list[str]:
    wanted = ["image_id", "language", "concepts", _CLUSTERS["pairs"], *_scores(mix, "pairs")]
    return ["pair_id", "document_id", "text", "text_source", *(name for name in wanted if mix.has("pairs", name))]


def _image_columns(mix: _Mix) -> list[str]:
    return [*_SIDES, "num_bytes", _CLUSTERS["images"], *_scores(mix, "images")]


def _scores(mix: _Mix, table: str) -> list[str]:
    """Columns with a quality in them: fractions that a stage or a join wrote. Whole numbers are counts and ids."""
    schema, written = mix.corpus.schema(table), mix.corpus.current_columns(table)
    names = (name for name, stage in written.items() if stage is not None)
    return sorted(name for name in names if pa.types.is_floating(schema.field(name).type))


def _members(mix: _Mix) -> None:
    """Make the table `members`: what is counted of each pair, as numbers."""
    mix.pair_numbers = {"num_characters": "length", **{name: quoted(f"score_{name}") for name in _scores(mix, "pairs")}}
    image = "try_cast(image_id as uuid)" if mix.has("pairs", "image_id") else "null::uuid"
    cluster = f"coalesce({_CLUSTERS['pairs']}, pair_id)" if mix.has("pairs", _CLUSTERS["pairs"]) else "null"
    scores = "".join(f", {quoted(name)}::float as {mix.pair_numbers[name]}" for name in _scores(mix, "pairs"))
    mix.connection.execute(
        f"create temp table members as select _place, _kept, {image} as image, {_NORMAL} as text, "
        "try_cast(document_id as uuid) as document, length(pair.text)::integer as length, "
        f"try_cast({cluster} as uuid) as text_cluster{scores} from grouped as pair"
    )


def _shown(mix: _Mix, ledger: Ledger | None) -> None:
    """Make the tables `shown` and `pages`: distinct images and documents of each group."""
    scores = _scores(mix, "images")
    mix.image_numbers = {f"image.{name}": quoted(f"score_{name}") for name in (*_SIDES, *scores)
                         if mix.has("images", name)}  # fmt: skip
    columns = "".join(
        f", images.{quoted(name.removeprefix('image.'))} as {alias}" for name, alias in mix.image_numbers.items()
    )
    size = "images.num_bytes" if mix.has("images", "num_bytes") else "null::bigint"
    own = _CLUSTERS["images"]
    cluster = f"try_cast(coalesce(images.{own}, images.image_id) as uuid)" if mix.has("images", own) else "null::uuid"
    found = _distinct(mix, ledger, "image", ("images", "fetches"))
    mix.connection.execute(
        f"create temp table shown as select found.*, {cluster} as image_cluster, {size} as num_bytes{columns} "
        f"from ({found}) as found join images on try_cast(images.image_id as uuid) = found.image"
    )
    mix.connection.execute(f"create temp table pages as {_distinct(mix, ledger, 'document', ('documents',))}")


def _distinct(mix: _Mix, ledger: Ledger | None, key: str, tables: Sequence[str]) -> str:
    """(_place, key, _kept) of pairs; for sources also of `tables`, whose rows name their own source."""
    found = [f"select _place, {key}, _kept from members where {key} is not null"]
    if mix.by == SOURCE:
        identity = f"try_cast({key}_id as uuid)"
        unit = ledger.selection.unit if ledger else key
        kept = "true" if ledger is None else f"{identity} in (from kept_ids)" if unit == key else "false"
        found += [
            f"select {_position(mix, SOURCE)}, {identity}, {kept} from {table} left join top on _by = {SOURCE} "
            f"where {key}_id is not null and {SOURCE} is distinct from {literal(FETCHED)}"
            for table in tables
        ]
    return f"select _place, {key}, bool_or(_kept) as _kept from ({' union all '.join(found)}) group by all"


def _figures(mix: _Mix, kept: str) -> dict[str, Any]:
    """Every figure by position. `kept` is a condition, or nothing for all rows."""
    where = f"where {kept}" if kept else ""
    masks = {name: _masks(mix, sql.format(where=where)) for name, sql in _keys(mix).items()}
    size = len(mix.values)
    shared = {name: [[_count(found, a, b) for b in range(size)] for a in range(size)] for name, found in masks.items()}
    unique = {name: [found.get(1 << place, 0) for place in range(size)] for name, found in masks.items()}
    kinds = mix.rows(
        f"select _place, text_source, {'language' if mix.has('pairs', 'language') else 'null'}, count(*) "
        f"from grouped {where} group by all"
    )
    return {
        "pairs": dict(mix.rows(f"select _place, count(*) from members {where} group by all")),
        "bytes": dict(mix.rows(f"select _place, sum(num_bytes)::bigint from shown {where} group by all")),
        "text_sources": _most(kinds, 1),
        "languages": _most(kinds, 2) if mix.has("pairs", "language") else {},
        "medians": dict(_medians(mix, kept)),
        "shared": shared,
        "unique": unique,
    }


def _keys(mix: _Mix) -> dict[str, str]:
    """Of everything that two groups can share: a query of (_place, key)."""
    keys = {
        "documents": "select _place, document as key from pages {where}",
        "images": "select _place, image as key from shown {where}",
        "texts": "select _place, text as key from members {where}",
    }
    if mix.has("images", _CLUSTERS["images"]):
        keys["image_clusters"] = "select _place, image_cluster as key from shown {where}"
    if mix.has("pairs", _CLUSTERS["pairs"]):
        keys["text_clusters"] = "select _place, text_cluster as key from members {where}"
    if mix.has("pairs", "concepts"):
        keys["concepts"] = "select _place, unnest(concepts) as key from grouped {where}"
    return keys


def _masks(mix: _Mix, keys: str) -> dict[int, int]:
    """How many keys are held by exactly the groups whose bits are set."""
    return dict(
        mix.rows(
            f"select mask, count(*) from (select bit_or(1::bigint << _place) as mask from ({keys}) "
            "where key is not null group by key) group by mask"
        )
    )


def _count(masks: Mapping[int, int], a: int, b: int) -> int:
    both = 1 << a | 1 << b
    return sum(count for mask, count in masks.items() if mask & both == both)


def _most(kinds: Sequence[tuple[Any, ...]], place: int) -> dict[int, list[list[Any]]]:
    """The most frequent values of a column of `kinds`, by position: value (null: not known) and pairs."""
    counts: dict[int, dict[str | None, int]] = {}
    for row in kinds:
        found = counts.setdefault(row[0], {})
        found[row[place]] = found.get(row[place], 0) + row[3]
    return {
        position: [list(item) for item in sorted(found.items(), key=lambda item: (-item[1], item[0] or ""))[:TOP]]
        for position, found in counts.items()
    }


def _medians(mix: _Mix, kept: str) -> Iterator[tuple[str, dict[int, float | None]]]:
    """The lower median of each number, one after the other: DuckDB holds all values of one."""
    for table, numbers in (("members", mix.pair_numbers), ("shown", mix.image_numbers)):
        for name, column in numbers.items():
            where = " and ".join(filter(None, (f"{column} is not null", kept)))
            found = mix.rows(f"select _place, quantile_disc({column}, 0.5) from {table} where {where} group by all")
            yield name, {position: value if math.isfinite(value) else None for position, value in found}


def _rows(mix: _Mix, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    found = []
    for place, (value, num_values) in enumerate(mix.values):
        row = _row(before, place)
        kept = _row(after, place) if after else None
        share = kept["num_pairs"] / row["num_pairs"] if kept and row["num_pairs"] else None
        found.append({"value": value, "num_values": num_values, **row, "kept": kept, "share_kept": share})
    return found


def _row(figures: Mapping[str, Any], place: int) -> dict[str, Any]:
    held = {name: matrix[place][place] for name, matrix in figures["shared"].items()}
    num_pairs = figures["pairs"].get(place, 0)
    near = {
        "near_duplicate_images": held["images"] - held["image_clusters"] if "image_clusters" in held else None,
        "near_duplicate_pairs": num_pairs - held["text_clusters"] if "text_clusters" in held else None,
    }
    return {
        "num_pairs": num_pairs,
        **{f"num_{name}": held.get(name) for name in ("documents", "images", "texts", "concepts")},
        "num_bytes": figures["bytes"].get(place),
        **near,
        "unique": {name: counts[place] for name, counts in figures["unique"].items()},
        "languages": figures["languages"].get(place, []),
        "text_sources": figures["text_sources"].get(place, []),
        "medians": {name: found.get(place) for name, found in figures["medians"].items()},
    }
