"""What is in a release, counted: the figures behind the dataset card and the datasheet.

Counts and order statistics only. A mean of floats would depend on the order in which threads add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tuwen.corpus.tables import TABLES, host_sql
from tuwen.fetching.settings import FETCHED
from tuwen.releases.content import Content
from tuwen.releases.overlap import Overlap, overlaps
from tuwen.selections.tree import literal
from tuwen.stages.reservations import OPT_OUTS

TOP = 20
FINGERPRINTED = ("documents", "fetches", "images", "pairs")
Counts = list[tuple[str, int]]


@dataclass(frozen=True)
class Measures:
    """Counts are (value, rows), most frequent first, equal ones by value. "" stands for "not known"."""

    sample: str  # what a sample is: image (with all its texts) or row
    num_samples: int
    num_images: int
    num_texts: int
    num_documents: int
    num_hosts: int
    kept: int  # by the selection
    left_out: dict[str, int]  # reason → rows that the selection kept and the release leaves out
    languages: Counts
    languages_of: str  # what was counted there
    text_sources: Counts
    hosts: Counts  # of `hosts_of`, the TOP most frequent
    hosts_of: str  # documents; where there are none, images
    licenses: Counts  # of the documents
    rights: Counts  # kind=value of the rights evidence of the documents
    image_formats: Counts
    image_sides: list[tuple[str, list[int]]] = field(default_factory=list)  # width, height: min, 10 %, 50 %, 90 %, max
    captured: tuple[str, str] | None = None  # of pages: first and last day, ISO 8601
    fetched: tuple[str, str] | None = None  # of images that the fetcher brought
    image_rights: Counts = field(default_factory=list)  # kind=value of what servers said of released images
    overlaps: list[Overlap] = field(default_factory=list)  # with evaluation data
    silent_documents: int = 0  # without evidence of any kind that may hold an objection: none found, or nobody looked
    silent_images: int = 0  # the same of what the servers of released images said
    blurred: tuple[int, int] | None = None  # released images with boxes to blur, and those that nobody looked at

    @property
    def num_licensed(self) -> int:
        """Documents with any licence evidence."""
        return sum(rows for value, rows in self.licenses if value)


def measure(content: Content, sample: str, num_samples: int, blur: str | None = None) -> Measures:
    """Count what `content` releases, as `num_samples` samples in all shards, images blurred by the column `blur`.

    For documents, run it after the shards are written (they settle the images).
    """
    content.connection.execute(f"CREATE OR REPLACE TEMP TABLE source_documents AS {_documents(content)}")
    images = {"pair": "released", "image": "released", "document": "kept_images"}[content.unit]
    documents = "(SELECT d.* FROM documents d JOIN source_documents s USING (document_id))"
    languages_of, languages = _languages(content)
    num_documents = _number(content, f"SELECT count(*) FROM {documents}")
    hosts_of, host, of = "documents", host_sql("url"), documents
    if not num_documents and content.unit != "document" and "image_id" in content.columns["pairs"]:
        hosts_of, host, of = "images", host_sql("image_ref"), _shown(images)
    return Measures(
        sample=sample,
        num_samples=num_samples,
        num_images=_number(content, f"SELECT count(DISTINCT image_id) FROM {images}"),
        num_texts=_number(content, "SELECT count(*) FROM released") if content.unit == "pair" else 0,
        num_documents=num_documents,
        num_hosts=_number(content, f"SELECT count(DISTINCT {host}) FROM {of}"),
        kept=_number(content, "SELECT count(*) FROM kept"),
        left_out=dict(_counts(content, "candidates WHERE reason IS NOT NULL", "reason")),
        languages=languages,
        languages_of=languages_of,
        text_sources=_counts(content, "pairs JOIN released USING (pair_id)", "text_source")
        if content.unit == "pair"
        else [],
        hosts=_counts(content, of, host)[:TOP],
        hosts_of=hosts_of,
        licenses=_counts(content, documents, "license"),
        rights=_counts(
            content,
            f"(SELECT DISTINCT document_id, unnest(rights) AS r FROM {documents})",
            "r.kind || '=' || coalesce(r.value, '')",
        ),
        image_formats=_counts(content, _distinct_images(images), "format") if _has_image(content, "format") else [],
        image_sides=_sides(content, _distinct_images(images)),
        captured=_days(content, documents),
        fetched=_days(
            content, f"(FROM fetches WHERE source = '{FETCHED}' AND image_id IN (SELECT image_id FROM {images}))"
        ),
        image_rights=_image_rights(content),
        silent_documents=num_documents
        - _number(content, f"SELECT count(*) FROM {documents} WHERE {_objecting('rights')}"),
        silent_images=_silent_images(content, images),
        overlaps=overlaps(content),
        blurred=_blurred(content, images, blur) if blur else None,
    )


def _documents(content: Content) -> str:
    if content.unit == "image":
        if "image_id" not in content.columns["pairs"]:
            return "SELECT document_id FROM documents WHERE false"
        return "SELECT DISTINCT document_id FROM pairs WHERE image_id IN (SELECT image_id FROM released)"
    if content.unit == "pair":
        return "SELECT DISTINCT document_id FROM pairs JOIN released USING (pair_id)"
    return "SELECT document_id FROM released"


def _shown(images: str) -> str:
    """Addresses of released images, each once."""
    return (
        f"(SELECT DISTINCT image_ref FROM pairs WHERE image_id IN (SELECT image_id FROM {images}) "
        "AND image_ref NOT LIKE 'data:%')"
    )


def _image_rights(content: Content) -> Counts:
    if content.unit != "pair" or "image_rights" not in content.columns["pairs"]:
        return []
    said = "(SELECT DISTINCT image_id, unnest(image_rights) AS r FROM pairs JOIN released USING (pair_id, image_id))"
    return _counts(content, said, "r.kind || '=' || coalesce(r.value, '')")


def _objecting(column: str) -> str:
    """SQL: whether a row has evidence of a kind that may hold an objection."""
    kinds = ", ".join(map(literal, OPT_OUTS))
    return f"coalesce(list_has_any(list_transform({column}, lambda r: r.kind), [{kinds}]), false)"


def _silent_images(content: Content, images: str) -> int:
    known = content.columns["pairs"]
    asked = "false"
    if {"image_id", "image_rights"} <= set(known):
        asked = f"image_id IN (SELECT image_id FROM pairs WHERE {_objecting('image_rights')})"
    return _number(content, f"SELECT count(DISTINCT image_id) FROM {images} WHERE image_id IS NOT NULL AND NOT {asked}")


def _blurred(content: Content, images: str, column: str) -> tuple[int, int]:
    rows = f'(SELECT "{column}" AS boxes FROM {_distinct_images(images)})'
    blurred = _number(content, f"SELECT count(*) FROM {rows} WHERE len(boxes) > 0")
    return blurred, _number(content, f"SELECT count(*) FROM {rows} WHERE boxes IS NULL")


def _distinct_images(table: str) -> str:
    return f"images JOIN (SELECT DISTINCT image_id FROM {table}) USING (image_id)"


def _has_image(content: Content, column: str) -> bool:
    return column in content.columns["images"]


def _languages(content: Content) -> tuple[str, Counts]:
    """What was counted, and the languages: detected ones of the texts, else of the documents, else as pages declare."""
    if content.unit == "pair" and "language" in content.columns["pairs"]:
        return "texts", _counts(content, "pairs JOIN released USING (pair_id)", "language")
    detected = "language" in content.columns["documents"]
    column = "language" if detected else "declared_language"
    counts = _counts(
        content, "documents JOIN source_documents USING (document_id)", f"lower(split_part({column}, '-', 1))"
    )
    return "documents" if detected else "documents, as declared", counts


def _sides(content: Content, images: str) -> list[tuple[str, list[int]]]:
    found = []
    for side in ("width", "height"):
        if _has_image(content, side):
            row = content.query(f"SELECT quantile_disc({side}, [0, 0.1, 0.5, 0.9, 1]) FROM {images}")[0][0]
            if row is not None:
                found.append((side, [int(value) for value in row]))
    return found


def _days(content: Content, rows: str) -> tuple[str, str] | None:
    # Microseconds, not dates: DuckDB would count days in the time zone of the machine.
    first, last = content.query(f"SELECT min(epoch_us(captured_at)), max(epoch_us(captured_at)) FROM {rows}")[0]
    return None if first is None else (_utc_day(first), _utc_day(last))


def _utc_day(microseconds: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=microseconds)).date().isoformat()


def _counts(content: Content, table: str, expression: str) -> Counts:
    rows = content.query(
        f"SELECT coalesce({expression}, '') AS value, count(*) AS rows FROM {table} "
        "GROUP BY value ORDER BY rows DESC, value"
    )
    return [(str(value), int(rows)) for value, rows in rows]


def _number(content: Content, sql: str) -> int:
    return int(content.query(sql)[0][0])


def corpus_fingerprint(content: Content) -> dict[str, dict[str, int | str]]:
    """Rows of each table and an order-free digest of their ids: XOR of the MD5 of every id, 32 hexadecimal digits.

    Ids are content hashes, so equal fingerprints mean the same rows, whatever the order they arrived in.
    """
    return {table: fingerprint_of(content.query, table) for table in FINGERPRINTED}


def fingerprint_of(query: Callable[[str], list[tuple[Any, ...]]], table: str) -> dict[str, int | str]:
    """Of one table; `query` runs SQL that sees it."""
    key = TABLES[table].key
    rows, digest = query(f"SELECT count(*), coalesce(bit_xor(md5_number({key})), 0) FROM {table}")[0]
    return {"rows": int(rows), "ids": f"{int(digest):032x}"}
