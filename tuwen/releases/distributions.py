"""How what is in a release is distributed: lengths, sizes, clusters, concepts; before the selection and after it.

Counts only, as in `tuwen.releases.measure`, so that no figure depends on the order in which threads add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from tuwen.releases.content import Content
from tuwen.selections.tree import quoted

TOP_CONCEPTS = 20
HEAD = 10  # concepts
PER_DECADE = 12  # points of a curve of ranks
CLUSTERS = (
    ("images", "image_cluster"),
    ("pairs", "text_cluster"),
    ("pairs", "pair_cluster"),
    ("documents", "document_cluster"),
)
_NARROW = {
    "images": ["image_id", "width", "height", "image_cluster", "image_cluster_size", "evaluation_image"],
    "pairs": [
        "pair_id", "image_id", "document_id", "source", "text_cluster", "text_cluster_size", "pair_cluster",
        "pair_cluster_size", "evaluation_text", "evaluation_image",
    ],
    "documents": [
        "document_id", "source", "main_characters", "document_cluster", "document_cluster_size", "evaluation_text",
    ],
}  # fmt: skip
_KEYS = {"images": "image_id", "pairs": "pair_id", "documents": "document_id"}
Points = list[tuple[int, int]]


@dataclass(frozen=True)
class Clusters:
    """Rows of a table by the size of their cluster, as (k, rows) for sizes from 2^k to 2^(k+1) - 1."""

    table: str
    column: str
    before: Points
    after: Points
    num_rows: int  # released
    num_clusters: int | None  # that they belong to, rows without a cluster one each; null: no column tells which


@dataclass(frozen=True)
class Concepts:
    """Pairs that mention each concept, over all pairs and over those released."""

    num_before: int  # concepts mentioned at all
    num_after: int
    ranks_before: Points  # (rank, pairs), the most frequent first, thinned
    ranks_after: Points
    head_before: tuple[int, int]  # mentions of the `HEAD` most frequent, and all mentions
    head_after: tuple[int, int]
    tail_before: int  # mentions of concepts beyond the most frequent tenth
    tail_after: int
    top: list[tuple[str, int, int]]  # the most frequent before: name, before, after


@dataclass(frozen=True)
class Overlap:
    """Rows whose column says that they are in an evaluation set."""

    table: str
    column: str
    before: int
    num_before: int
    after: int
    num_after: int


@dataclass(frozen=True)
class Distributions:
    """What the release report draws. Lists are empty, and `concepts` null, where there is nothing to count."""

    lengths: Points  # (k, rows) for lengths from 2^k to 2^(k+1) - 1 characters; k is -1 for none
    lengths_of: str
    image_sizes: list[tuple[int, int, int]]  # (i, j, images) for width from 2^(i/2) and height from 2^(j/2)
    sources: list[tuple[str, int]]
    sources_of: str
    clusters: list[Clusters]
    concepts: Concepts | None
    overlaps: list[Overlap]


def distributions(content: Content) -> Distributions:
    """Count; after `measure`, which settles documents and images."""
    current = {table: content.corpus.current_columns(table) for table in _KEYS}
    for table, names in _NARROW.items():  # DuckDB scans every column of what is registered, texts and pages too
        known = [name for name in names if name in current[table]]
        content.connection.register(f"narrow_{table}", content.corpus.stored(table, known))
    lengths_of, lengths = _lengths(content, current)
    sources_of = "documents" if content.unit == "document" else "texts"
    has_sizes = {"width", "height"} <= set(current["images"])
    return Distributions(
        lengths=lengths,
        lengths_of=lengths_of,
        image_sizes=_sizes(content) if has_sizes else [],
        sources=_sources(content),
        sources_of=sources_of,
        clusters=[
            _clusters(content, table, column, column in current[table])
            for table, column in CLUSTERS
            if f"{column}_size" in current[table] and _is_released(content, table)
        ],
        concepts=_concepts(content) if _has_lists(content, current) else None,
        overlaps=[
            _overlap(content, table, column)
            for table in _KEYS
            for column in sorted(current[table])
            if column.startswith("evaluation_") and column in _NARROW[table] and _is_released(content, table)
        ],
    )


def _released(content: Content, table: str) -> str:
    """A query for the ids of what is released of a table."""
    images = "kept_images" if content.unit == "document" else "released"
    if table == "images":
        return f"SELECT DISTINCT image_id FROM {images}"
    if table == "documents":
        return "SELECT document_id FROM source_documents"
    if content.unit == "pair":
        return "SELECT pair_id FROM released"
    key = "image_id" if content.unit == "image" else "document_id"
    return f"SELECT pair_id FROM narrow_pairs WHERE {key} IN (SELECT {key} FROM released)"


def _is_released(content: Content, table: str) -> bool:
    """Whether rows of the table are what is released; a release of images holds no texts of its own."""
    return {"pair": True, "image": table == "images", "document": table != "pairs"}[content.unit]


def _octaves(content: Content, number: str, rows: str) -> Points:
    octave = f"CASE WHEN {number} < 1 THEN -1 ELSE floor(log2({number}))::INTEGER END"
    found = content.query(
        f"SELECT {octave} AS k, count(*) FROM {rows} WHERE {number} IS NOT NULL GROUP BY k ORDER BY k"
    )
    return [(int(k), int(count)) for k, count in found]


def _lengths(content: Content, current: dict[str, dict[str, str | None]]) -> tuple[str, Points]:
    if content.unit == "pair":
        content.connection.register("texts", content.corpus.stored("pairs", ["pair_id", "text"]))
        return "texts", _octaves(content, "length(text)", "texts JOIN released USING (pair_id)")
    if content.unit == "document" and "main_characters" in current["documents"]:
        return "documents", _octaves(content, "main_characters", "narrow_documents JOIN released USING (document_id)")
    return "", []


def _sizes(content: Content) -> list[tuple[int, int, int]]:
    half = "floor(2 * log2({}))::INTEGER"
    rows = content.query(
        f"SELECT {half.format('width')} AS i, {half.format('height')} AS j, count(*) FROM narrow_images "
        f"WHERE image_id IN ({_released(content, 'images')}) AND width > 0 AND height > 0 GROUP BY ALL ORDER BY ALL"
    )
    return [(int(i), int(j), int(count)) for i, j, count in rows]


def _sources(content: Content) -> list[tuple[str, int]]:
    """Rows by the source that brought them. Never that of images: which unit came first would decide."""
    if content.unit == "document":
        rows = "narrow_documents JOIN released USING (document_id)"
    elif content.unit == "pair":
        rows = "narrow_pairs JOIN released USING (pair_id)"
    elif "image_id" in content.columns["pairs"]:
        rows = "narrow_pairs WHERE image_id IN (SELECT image_id FROM released)"
    else:
        return []
    found = content.query(
        f"SELECT coalesce(source, '') AS name, count(*) AS n FROM (FROM {rows}) GROUP BY name ORDER BY n DESC, name"
    )
    return [(str(name), int(count)) for name, count in found]


def _clusters(content: Content, table: str, column: str, has_id: bool) -> Clusters:
    key = _KEYS[table]
    after = f"narrow_{table} WHERE {key} IN ({_released(content, table)})"
    size = quoted(f"{column}_size")
    cluster = f"coalesce({quoted(column)}::VARCHAR, {key})" if has_id else key
    ((num_rows, num_clusters),) = content.query(f"SELECT count(*), count(DISTINCT {cluster}) FROM {after}")
    return Clusters(
        table=table,
        column=column,
        before=_octaves(content, size, f"narrow_{table}"),
        after=_octaves(content, size, f"(FROM {after})"),
        num_rows=int(num_rows),
        num_clusters=int(num_clusters) if has_id else None,
    )


def _has_lists(content: Content, current: dict[str, dict[str, str | None]]) -> bool:
    """Whether pairs have `concepts`, lists of strings, and an image or document to follow to what is released."""
    if "concepts" not in current["pairs"]:
        return False
    kind = content.corpus.schema("pairs").field("concepts").type
    needed = {"pair": "pair_id", "image": "image_id", "document": "document_id"}[content.unit]
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and needed in content.columns["pairs"]


def _concepts(content: Content) -> Concepts:
    content.connection.register("mentions", content.corpus.stored("pairs", ["pair_id", "concepts"]))
    content.connection.execute(
        "CREATE OR REPLACE TEMP TABLE concept_counts AS SELECT concept, count(*) AS before, count(r.pair_id) AS after "
        "FROM (SELECT pair_id, unnest(list_distinct(concepts)) AS concept FROM mentions) "
        f"LEFT JOIN ({_released(content, 'pairs')}) AS r USING (pair_id) WHERE concept IS NOT NULL GROUP BY concept"
    )
    ranked = {side: _ranked(content, side) for side in ("before", "after")}
    top = content.query(
        f"SELECT concept, before, after FROM concept_counts ORDER BY before DESC, concept LIMIT {TOP_CONCEPTS}"
    )
    (num_before, ranks_before, head_before, tail_before) = ranked["before"]
    (num_after, ranks_after, head_after, tail_after) = ranked["after"]
    return Concepts(
        num_before=num_before,
        num_after=num_after,
        ranks_before=ranks_before,
        ranks_after=ranks_after,
        head_before=head_before,
        head_after=head_after,
        tail_before=tail_before,
        tail_after=tail_after,
        top=[(str(name), int(before), int(after)) for name, before, after in top],
    )


def _ranked(content: Content, side: str) -> tuple[int, Points, tuple[int, int], int]:
    """Concepts, thinned (rank, count), mentions of the head and of all, mentions beyond the most frequent tenth."""
    ((number,),) = content.query(f"SELECT count(*) FROM concept_counts WHERE {side} > 0")
    ranked = (
        f"(SELECT {side} AS n, row_number() OVER (ORDER BY {side} DESC, concept) AS rank FROM concept_counts "
        f"WHERE {side} > 0)"
    )
    wanted = ", ".join(map(str, thinned(int(number)))) or "0"
    points = content.query(f"SELECT rank, n FROM {ranked} WHERE rank IN ({wanted}) ORDER BY rank")
    tenth = -(-int(number) // 10)
    ((head, total, tail),) = content.query(
        f"SELECT coalesce(sum(n) FILTER (rank <= {HEAD}), 0), coalesce(sum(n), 0), "
        f"coalesce(sum(n) FILTER (rank > {tenth}), 0) FROM {ranked}"
    )
    return int(number), [(int(rank), int(n)) for rank, n in points], (int(head), int(total)), int(tail)


def thinned(last: int) -> Sequence[int]:
    """Ranks from 1 to `last`, about as many in each decade."""
    ranks = {last} if last else set()
    step = 0
    while (rank := round(10 ** (step / PER_DECADE))) < last:
        ranks.add(rank)
        step += 1
    return sorted(ranks)


def _overlap(content: Content, table: str, column: str) -> Overlap:
    kind = content.corpus.schema(table).field(column).type
    name = quoted(column)
    if pa.types.is_boolean(kind):
        found = name
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = f"len({name}) > 0"
    else:
        found = f"{name} IS NOT NULL"
    after = f"(FROM narrow_{table} WHERE {_KEYS[table]} IN ({_released(content, table)}))"
    counts = [
        content.query(f"SELECT count(*) FILTER ({found}), count(*) FROM {rows}")[0]
        for rows in (f"narrow_{table}", after)
    ]
    return Overlap(table, column, *(int(number) for pair in counts for number in pair))
