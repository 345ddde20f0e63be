"""Rows of text files: CSV, TSV, JSON Lines and JSON, read in a stream whatever is wrong with them.

Rows come with their rough size, so that whoever collects them knows when to stop. Nothing here raises for what a file
holds: a line that cannot be read costs itself, is counted in the report, and the first few are told.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

import pyarrow as pa

from tuwen.sources import Report

MAX_ROW_BYTES = 4 << 20
"""A longer line or JSON value is no row."""
MOST_MESSAGES = 20
CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}

_CHUNK_BYTES = 1 << 18
_COMPRESSED_CHUNK_BYTES = 1 << 15  # what the last read before damage may lose
_MOST_LINES = 100  # of one row, for line breaks within quotes
_URL = ("http://", "https://")
_BLANK = re.compile(r"[\s,]*")
_NEXT_ROW = re.compile(r"\}\s*+,?+\s*+(?=\{)")  # possessive: blanks are never tried twice


def complain(report: Report, message: str, error: str | None = None) -> None:
    """Count a bad record; the first few are told, and `error` is kept unless something worse is known."""
    report.num_bad_records += 1
    if len(report.messages) < MOST_MESSAGES:
        report.messages.append(message)
    elif len(report.messages) == MOST_MESSAGES:
        report.messages.append("more bad records are only counted")
    report.error = report.error or error


def chunks(stream: BinaryIO, codec: str | None, report: Report) -> Iterator[bytes]:
    """The bytes of a file, decompressed, up to where it is cut or damaged."""
    source = pa.CompressedInputStream(pa.PythonFile(stream, "r"), codec) if codec else stream
    size = _COMPRESSED_CHUNK_BYTES if codec else _CHUNK_BYTES
    try:
        while chunk := source.read(size):
            yield chunk
    except (OSError, pa.ArrowException) as error:
        complain(report, str(error), "truncated" if "truncated" in str(error).lower() else "damaged")


def lines(pieces: Iterable[bytes], report: Report, *, start: int = 0, end: int | None = None) -> Iterator[list[bytes]]:
    """Lines without their ends, in blocks: those that begin at `start` or later and before `end`.

    `pieces` are the file's bytes from `start`, or from the byte before it if `start` is not 0.
    """
    rest, at, skipping = b"", max(0, start - 1), start > 0
    for piece in pieces:
        data = rest + piece
        last = data.find(b"\n", max(0, end - at - 1)) if end is not None and at + len(data) >= end else -1
        block = data[:last] if last >= 0 else data
        *found, rest = block.split(b"\n")
        if last >= 0:
            found, rest = [*found, rest], b""
        if skipping and found:
            del found[0]
            skipping = False
        yield [line.removesuffix(b"\r") for line in found if len(line) <= MAX_ROW_BYTES]
        for line in found:
            if len(line) > MAX_ROW_BYTES:
                complain(report, f"a line of {len(line)} bytes", "damaged")
        if last >= 0:
            return
        at += len(data) - len(rest)
        if skipping or len(rest) > MAX_ROW_BYTES:
            if not skipping:
                complain(report, f"offset {at}: a line longer than {MAX_ROW_BYTES} bytes", "damaged")
            at, rest, skipping = at + len(rest), b"", True
    if rest and not skipping:
        yield [rest.removesuffix(b"\r")]


def first_row(blocks: Iterable[list[bytes]], quoting: bool) -> tuple[list[str], Iterator[list[bytes]]]:
    """The lines of the first row (several, where a quoted field holds line breaks), and what follows them.

    Bytes that are not UTF-8 are replaced: a header is one, whether or not it can be read.
    """
    rest = chain.from_iterable(blocks)
    taken = list(islice((line for line in rest if line), 1))
    while quoting and sum(line.count(b'"') for line in taken) % 2 and len(taken) < _MOST_LINES:
        following = next(rest, None)
        if following is None:
            break
        taken.append(following)
    if sum(line.count(b'"') for line in taken) % 2 and quoting:  # never closed
        rest, taken = chain(taken[1:], rest), taken[:1]
    return [line.decode("utf-8", "replace") for line in taken], ([line] for line in rest)


def delimited(
    blocks: Iterable[list[bytes]], delimiter: str, quoting: bool, num_columns: int, report: Report
) -> Iterator[tuple[list[str], int]]:
    """Fields of CSV or TSV lines, RFC 4180 where `quoting`, else split at every delimiter. Empty lines are no rows.

    A row with more or fewer fields than `num_columns` is bad; a quote that is never closed costs its own line. So does
    one that would take rows into its field: lines with a URL in the column where the first line has one.
    https://www.rfc-editor.org/rfc/rfc4180
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    texts = _decoded(chain.from_iterable(blocks), report)
    waiting: deque[str] = deque()  # lines that came after a quote that was not closed
    while (text := waiting.popleft() if waiting else next(texts, None)) is not None:
        if not text:
            continue
        if not quoting or '"' not in text:
            rows = [text.split(delimiter)]
        else:
            together = _until_balanced(text, waiting, texts)
            rows = [] if _holds_rows(together, delimiter, num_columns) else _quoted(together, delimiter)
            if len(together) > 1 and [len(row) for row in rows] != [num_columns]:
                waiting.extendleft(reversed(together[1:]))
                rows = _quoted(together[:1], delimiter)
        for row in rows:
            if len(row) == num_columns:
                yield row, len(text)
            else:
                what = f"{len(row)} fields instead of {num_columns}" if row else "a quote that is not closed"
                complain(report, f"{what}: {text[:100]!r}", "damaged")


def _until_balanced(text: str, waiting: deque[str], texts: Iterator[str]) -> list[str]:
    """Lines up to where every quote is closed, or `_MOST_LINES`."""
    together, num_quotes = [text], text.count('"')
    while num_quotes % 2 and len(together) < _MOST_LINES:
        following = waiting.popleft() if waiting else next(texts, None)
        if following is None:
            break
        together.append(following)
        num_quotes += following.count('"')
    return together


def _holds_rows(together: list[str], delimiter: str, num_columns: int) -> bool:
    """Whether lines that a quote holds together are rows of their own."""
    fields = [[field.lstrip('"') for field in line.split(delimiter)] for line in together]
    urls = [place for place, field in enumerate(fields[0]) if field.startswith(_URL)]
    return bool(urls) and any(
        len(row) == num_columns and all(row[place].startswith(_URL) for place in urls if place < num_columns)
        for row in fields[1:]
    )


def _quoted(together: list[str], delimiter: str) -> list[list[str]]:
    """Rows of lines; one without fields if a quote is left open, or closed within a field of several lines."""
    is_open = sum(line.count('"') for line in together) % 2 == 1
    strict = is_open or len(together) > 1
    try:
        return list(csv.reader([line + "\n" for line in together], delimiter=delimiter, strict=strict))
    except csv.Error:
        return [[]]


def json_lines(blocks: Iterable[list[bytes]], report: Report) -> Iterator[tuple[dict[str, Any], int]]:
    """Objects of JSON Lines."""
    for line in chain.from_iterable(blocks):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            complain(report, f"{error}: {line[:100]!r}", "damaged")
            continue
        if isinstance(row, dict):
            yield row, len(line)
        else:
            complain(report, f"no JSON object: {line[:100]!r}", "damaged")


def json_list(pieces: Iterable[bytes], report: Report) -> Iterator[tuple[dict[str, Any], int]]:
    """Objects of a JSON list (or one after the other without a list), decoded one at a time."""
    decoder, decode = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    source = map(decode, pieces)
    buffer: str = next(source, "")
    ended, whole = False, True
    position = _BLANK.match(buffer).end()  # type: ignore[union-attr]
    if buffer[position : position + 1] == "[":
        position, whole = position + 1, False
    while True:
        position = _BLANK.match(buffer, position).end()  # type: ignore[union-attr]
        if buffer[position : position + 1] == "]":
            return
        try:
            row, end = decoder.raw_decode(buffer, position)
        except (ValueError, RecursionError) as error:
            if not ended and len(buffer) - position < MAX_ROW_BYTES:
                piece = next(source, None)
                buffer, position, ended = buffer[position:] + (piece or ""), 0, piece is None
                continue
            if position == len(buffer):
                break
            complain(report, f"{type(error).__name__}: {buffer[position : position + 100]!r}", "damaged")
            following = _NEXT_ROW.search(buffer, position + 1)
            position = following.end() if following else len(buffer)
            continue
        if isinstance(row, dict):
            yield row, end - position
        else:
            complain(report, f"no JSON object: {buffer[position : position + 100]!r}", "damaged")
        position = end
    if not whole:
        complain(report, "the list is not closed", "truncated")


def _decoded(found: Iterable[bytes], report: Report) -> Iterator[str]:
    for line in found:
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            complain(report, f"not UTF-8 ({error.reason}); convert the file: {line[:100]!r}", "damaged")
