"""The tables of a corpus: their base columns, keys and the content that ids are made of.

Every id is the first 32 hexadecimal digits (128 bits) of a SHA-256, so `sha256sum FILE | cut -c1-32` is the id
of an image. `digest()` is the one place that makes them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import pyarrow as pa

ID_CHARACTERS = 32
SHA256_CHARACTERS = 64  # of which an image's id is the first half
# Columns that Lance makes up itself, so that none of a table may be called so.
RESERVED = frozenset(
    [
        "_rowid",
        "_rowaddr",
        "_rowoffset",
        "_row_created_at_version",
        "_row_last_updated_at_version",
        "_distance",
        "_score",
    ]
)

NODE = pa.struct(
    [
        pa.field("kind", pa.string()),  # heading text list table code quote caption image svg frame transcript
        pa.field("text", pa.string()),  # null for image, svg and frame
        pa.field("level", pa.int8()),  # heading 1-6, else null
        pa.field("region", pa.string()),  # main navigation header footer aside form
        pa.field("image_ref", pa.string()),  # absolute URL, or `data:sha256,ID` for embedded bytes
        pa.field("time_s", pa.float64()),  # frames and transcripts of a video: seconds from its start
        pa.field("frame_index", pa.int32()),
    ]
)
EVIDENCE = pa.struct([pa.field("kind", pa.string()), pa.field("value", pa.string())])

_SOURCE = [pa.field("source", pa.string()), pa.field("source_unit", pa.string())]

DOCUMENTS = pa.schema(
    [
        pa.field("document_id", pa.string()),  # digest(url, captured_at, payload)
        pa.field("url", pa.string()),
        pa.field("captured_at", pa.timestamp("us", tz="UTC")),  # null when the source does not know
        pa.field("title", pa.string()),
        pa.field("declared_language", pa.string()),  # as written: html lang, else Content-Language
        pa.field("charset", pa.string()),  # the encoding that the bytes were read with
        pa.field("generator", pa.string()),  # meta generator
        pa.field("license", pa.string()),  # first licence URL or name found
        pa.field("rights", pa.list_(EVIDENCE)),  # all rights evidence, as found
        pa.field("nodes", pa.list_(NODE)),  # in reading order
        pa.field("given", pa.string()),  # JSON object: what a data set said besides; null for pages
        *_SOURCE,
    ]
)
IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string()),  # digest(bytes)
        pa.field("bytes", pa.large_binary()),  # original bytes, stored as a Lance blob
        *_SOURCE,
    ]
)
PAIRS = pa.schema(
    [
        pa.field("pair_id", pa.string()),  # digest(document_id, position, text_source, image_ref, text)
        pa.field("document_id", pa.string()),  # null: a row of a list, whose page nobody has read
        pa.field("image_ref", pa.string()),  # URL, or `data:sha256,ID` for embedded bytes
        pa.field("position", pa.int32()),  # index of the image in the document's nodes; null without a document
        pa.field("text", pa.string()),
        pa.field("text_source", pa.string()),  # alt caption title aria_label link heading before after page_title given
        pa.field("text_position", pa.int32()),  # index of the node that holds the text; null for attributes
        pa.field("region", pa.string()),  # region of the image, as in nodes
        pa.field("derived_from", pa.list_(pa.string())),  # pair ids that a rewritten text came from; null: original
        pa.field("expected_hash", pa.string()),  # `sha256:HEX` (32 digits or more) or `md5:HEX` of the image's bytes
        pa.field("given", pa.string()),  # JSON object: what a list or data set said besides; null: nothing
        *_SOURCE,
    ]
)
FETCHES = pa.schema(
    [
        pa.field("fetch_id", pa.string()),  # digest(url, captured_at, status, error, payload digest)
        pa.field("url", pa.string()),
        pa.field("captured_at", pa.timestamp("us", tz="UTC")),
        pa.field("status", pa.int16()),  # HTTP status; null where there was none
        pa.field("error", pa.string()),  # null: fine. http_404, redirect, not_an_image, truncated_body, …
        pa.field("content_type", pa.string()),  # as served
        pa.field("rights", pa.list_(EVIDENCE)),  # of headers and site files, as found; null: nothing was checked
        pa.field("redirect_url", pa.string()),  # absolute; where a redirect or a revisit record points, or it ended
        pa.field("num_bytes", pa.int64()),  # of the decoded body
        pa.field("sha256", pa.string()),  # of the decoded body as it came, 64 hexadecimal digits; null: there was none
        pa.field("elapsed_ms", pa.float32()),  # from the first request to the last byte; null in archives
        pa.field("image_id", pa.string()),  # null unless the body is an image
        *_SOURCE,
    ]
)
TOMBSTONES = pa.schema(
    [
        pa.field("kind", pa.string()),  # image url domain near
        pa.field("value", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
UNITS = pa.schema(
    [
        *_SOURCE,
        pa.field("location", pa.string()),  # where the unit was read from, for people; not part of any identity
        pa.field("reader", pa.string()),  # what read it: name, version and parameters of the source
        pa.field("num_records", pa.int64()),  # read from the unit, used or not
        pa.field("num_documents", pa.int64()),  # rows added to each table: what an earlier unit held is not counted
        pa.field("num_images", pa.int64()),
        pa.field("num_pairs", pa.int64()),
        pa.field("num_fetches", pa.int64()),
        pa.field("num_bad_records", pa.int64()),
        pa.field("error", pa.string()),  # null: read to its end. truncated, damaged, unreadable
        pa.field("message", pa.string()),  # what was wrong and how much was read
    ]
)


@dataclass(frozen=True)
class Table:
    """One table of a corpus: base schema (without what stages add), key column, and how many rows a fragment takes.

    `rows_per_fragment` bounds the work of one task and what a kill can cost; a fragment never spans two units.
    """

    schema: pa.Schema
    key: str
    rows_per_fragment: int
    blobs: tuple[str, ...] = ()


TABLES: dict[str, Table] = {
    "documents": Table(DOCUMENTS, "document_id", 8_192),
    "images": Table(IMAGES, "image_id", 4_096, blobs=("bytes",)),
    "pairs": Table(PAIRS, "pair_id", 65_536),
    "fetches": Table(FETCHES, "fetch_id", 65_536),
    "units": Table(UNITS, "source_unit", 65_536),
    "tombstones": Table(TOMBSTONES, "value", 65_536),
}


def source_schema(table: str) -> pa.Schema:
    """Base columns as a source yields them: without `source` and `source_unit`, which the engine adds."""
    return pa.schema([column for column in TABLES[table].schema if column not in _SOURCE])


def host_sql(url: str) -> str:
    """DuckDB expression for the lower-case host of the URL that the expression `url` gives; empty if there is none.

    IPv6 addresses keep their brackets.
    """
    return f"regexp_extract(lower({url}), '{_HOST}', 1)"


def host_of(url: str) -> str:
    """What `host_sql` finds, in Python."""
    found = re.match(_HOST, url.lower())
    return found[1] if found else ""


_HOST = r"^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]+)"


def digest(*parts: str | bytes | int | None) -> str:
    """Content hash of a sequence: SHA-256 over the parts, first 32 hexadecimal digits.

    A single `bytes` part is hashed as it is (the id of an image is the prefix of its `sha256sum`); otherwise each
    part is preceded by its type and length, so that no two sequences share an encoding.
    """
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return hashlib.sha256(parts[0]).hexdigest()[:ID_CHARACTERS]
    hasher = hashlib.sha256()
    for part in parts:
        if part is None:
            hasher.update(b"n0:")
            continue
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        hasher.update(b"%s%d:" % (type(part).__name__[:1].encode(), len(data)))
        hasher.update(data)
    return hasher.hexdigest()[:ID_CHARACTERS]
