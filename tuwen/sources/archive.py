"""Records of a WARC file, read with FastWARC, with damage noticed, reported and passed over.

FastWARC stops at the first damage; at a cut, an empty gzip member or a false Content-Length it stops without a word.
So a record is handed on only when the one after it could be read too. Where reading stops, the last gzip member is
decompressed once more, and reading goes on at the next member (uncompressed: the next line) that opens a record.

ISO 28500:2017, https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastwarc.warc import ArchiveIterator, HeaderMap, WarcRecord, WarcRecordType

from tuwen.sources import Report

MAX_HEAD_BYTES = 1 << 16
"""So much is read of a block beyond the size limit: enough for its HTTP headers."""

_BLANK_LINE = b"\r\n\r\n"
_GZIP = b"\x1f\x8b\x08"
_RECORD_LINE = re.compile(rb"(?<=\n)WARC/\d\.\d+\r\n[A-Za-z][A-Za-z-]*:")
_KINDS = {
    int(WarcRecordType.response): "response",
    int(WarcRecordType.resource): "resource",
    int(WarcRecordType.revisit): "revisit",
    int(WarcRecordType.metadata): "metadata",
}
CAPTURES = ("response", "resource", "revisit")
"""The kinds of records that hold what a server sent."""
_OTHER_KINDS = {
    int(kind)
    for kind in (
        WarcRecordType.warcinfo,
        WarcRecordType.request,
        WarcRecordType.conversion,
        WarcRecordType.continuation,
    )
}
_DAMAGE = (OSError, ValueError, zlib.error)  # what bytes that are no record raise
_OVERLOOKED = "FastWARC overlooked the Content-Length"


class Record(NamedTuple):
    """One record of a kind that was asked for."""

    kind: str
    offset: int  # in the file: of the record, or of its gzip member
    headers: HeaderMap
    block: bytes
    error: str | None = None  # truncated, damaged, too_large: the block is not whole

    def header(self, name: bytes) -> str | None:
        """A WARC header as text; bytes that are not UTF-8 become U+FFFD."""
        value = self.headers.get_bytes(name)
        return None if value is None else value.decode("utf-8", "replace").strip()


class _Stop(NamedTuple):
    """Where one run of the iterator ended, and why."""

    held: Record | None  # the last record, not handed on yet, for it may be damaged
    offset: int | None  # of the last record of any kind; None: none was read
    num_bytes: int  # its Content-Length
    whole: bool  # its block was that long
    complaint: str | None  # None: FastWARC saw nothing wrong


class _Reached(NamedTuple):
    """How far the file is accounted for after a stop."""

    end: int  # offset of the first byte that no whole record accounts for
    search: int  # where to look for the next record
    sound: bool  # the last record is whole


class _Member(NamedTuple):
    """A gzip member."""

    end: int
    num_bytes: int  # after the first blank line, if it has one
    error: str | None  # truncated: the file ends within it; damaged


def records(path: Path, report: Report, *, max_bytes: int, kinds: tuple[str, ...] = CAPTURES) -> Iterator[Record]:
    """Records of `kinds` in a WARC file, in its order; those of other kinds are only counted.

    Plain, gzip, and whatever else FastWARC recognises (zstd, lz4: damage ends these for good). Never raises for what
    a file holds: `report` gets the number of records read, `error` (truncated, damaged, unreadable) and what was
    wrong where. Of a block longer than `max_bytes`, the first `MAX_HEAD_BYTES` are read.
    """
    try:
        if path.stat().st_size:
            with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield from _records(stream, content, report, max_bytes, kinds)
        else:
            _complain(report, "the file is empty", "unreadable")
    except _DAMAGE as error:
        _complain(report, f"{type(error).__name__}: {error}", "damaged")
    if not report.num_records:
        if not report.error:
            _complain(report, "the file holds no record", "unreadable")
        report.error = "unreadable"
    if report.error:
        report.messages.append(f"{report.num_records} records read")


def _records(
    stream: BinaryIO, content: mmap.mmap, report: Report, max_bytes: int, kinds: tuple[str, ...]
) -> Iterator[Record]:
    position: int | None = 0
    trouble: tuple[int, str] | None = None  # where and what, told once it is known what it cost
    error = "damaged"
    while position is not None:
        stop = yield from _run(stream, content, position, report, max_bytes, kinds)
        if trouble is not None and stop.offset is not None:
            _complain(report, f"offset {trouble[0]}: {trouble[1]}; went on at offset {position}", "damaged")
            trouble = None
        reached = _reached(content, position, stop)
        position = _next_record(content, reached.search)
        quiet = stop.complaint in (None, _OVERLOOKED)
        cut = quiet or _member(content, reached.end).error == "truncated"
        error = "truncated" if cut and position is None else "damaged"
        if stop.held is not None:
            yield stop.held if reached.sound else stop.held._replace(error=error)
        if quiet and reached.sound and reached.end in (position, len(content)):
            continue  # nothing was lost: the end of the file, or a stop that FastWARC alone needs
        trouble = trouble or (reached.end, "no whole record" if quiet else str(stop.complaint))
    if trouble is not None:
        lost = len(content) - trouble[0]
        _complain(report, f"offset {trouble[0]}: {trouble[1]}; {lost} bytes to the end of the file are lost", error)


def _complain(report: Report, message: str, error: str) -> None:
    report.num_bad_records += 1
    report.messages.append(message)
    if report.error != "damaged":
        report.error = error


def _run(
    stream: BinaryIO, content: mmap.mmap, position: int, report: Report, max_bytes: int, kinds: tuple[str, ...]
) -> Generator[Record, None, _Stop]:
    """Hand on the records from `position` until FastWARC stops, all but the last."""
    held: Record | None = None
    raw: WarcRecord | None = None
    num_bytes, whole, complaint = 0, True, None
    stream.seek(position)
    try:
        for raw in ArchiveIterator(stream, parse_http=False):
            if held is not None:
                yield held
                held = None
            report.num_records += 1
            kind = _kind(raw, kinds)
            num_bytes = raw.content_length or _content_length(raw)
            if num_bytes < 0:
                whole = False  # the file may end within the headers, so none of them can be trusted
                break
            if num_bytes != raw.content_length:
                complaint = _OVERLOOKED
                block = _overlooked(content, raw.stream_pos, min(num_bytes, max_bytes))
                whole = len(block) == min(num_bytes, max_bytes)
                held = Record(kind, raw.stream_pos, raw.headers, block) if kind and block else None
                break
            if kind is None:
                whole = raw.consume() >= num_bytes
                continue
            held = Record(kind, raw.stream_pos, raw.headers, b"", "damaged")  # if reading the block raises
            fits = num_bytes <= max_bytes
            block = raw.reader.read() if fits else raw.reader.read(MAX_HEAD_BYTES)
            whole = len(block) + (0 if fits else raw.consume()) >= num_bytes
            held = Record(kind, held.offset, held.headers, block, None if fits else "too_large")
            if not (whole or block):
                held = None  # the same
    except _DAMAGE as error:
        complaint = str(error)
    return _Stop(held, raw.stream_pos if raw else None, max(0, num_bytes), whole, complaint)


def _kind(raw: WarcRecord, kinds: tuple[str, ...]) -> str | None:
    """None for a kind that was not asked for."""
    code = int(raw.record_type)
    if code in _KINDS or code in _OTHER_KINDS:
        name = _KINDS.get(code)
    else:  # FastWARC knows header names in the usual spelling only
        name = (raw.headers.get_bytes(b"WARC-Type") or b"").decode("latin-1").strip().lower()
    return name if name in kinds else None


def _content_length(raw: WarcRecord) -> int:
    """-1 if there is none."""
    return int(raw.headers.get_bytes(b"Content-Length") or b"-1")


def _overlooked(content: mmap.mmap, offset: int, num_bytes: int) -> bytes:
    """The block of a record whose Content-Length FastWARC takes for 0: it is in lower case, or follows a repetition."""
    limit = MAX_HEAD_BYTES + num_bytes
    if content[: len(_GZIP)] == _GZIP:
        data = zlib.decompressobj(wbits=31).decompress(content[offset : offset + limit], limit)
    else:
        data = content[offset : offset + limit]
    head = data.find(_BLANK_LINE) + len(_BLANK_LINE)
    return data[head : head + num_bytes] if head >= len(_BLANK_LINE) else b""


def _reached(content: mmap.mmap, position: int, stop: _Stop) -> _Reached:
    """How far the file is accounted for after a run from `position` came to a stop."""
    if content[position : position + len(_GZIP)] == _GZIP:
        return _reached_in_gzip(content, position, stop)
    if stop.offset is None:
        return _Reached(position, position + 1, False)
    if stop.complaint is None and stop.whole:
        return _Reached(len(content), len(content), True)
    if content[position : position + 5] != b"WARC/":  # a compression that is not checked here
        return _Reached(stop.offset, len(content), stop.whole)
    head = content.find(_BLANK_LINE, stop.offset)
    end = head + len(_BLANK_LINE) + stop.num_bytes
    if head < 0 or end > len(content):
        return _Reached(stop.offset, stop.offset + 1, False)
    while content[end : end + 2] == b"\r\n":
        end += 2
    return _Reached(end, end, stop.whole)


def _reached_in_gzip(content: mmap.mmap, position: int, stop: _Stop) -> _Reached:
    if stop.offset is None and stop.complaint is not None:
        return _Reached(position, position + 1, False)
    if stop.offset is not None and content[stop.offset : stop.offset + len(_GZIP)] == _GZIP:
        member = _member(content, stop.offset)
        if member.error:
            return _Reached(stop.offset, stop.offset + 1, False)
        end = member.end
        while (following := _member(content, end)).error is None and following.num_bytes == 0:
            end = following.end
        return _Reached(end, end, stop.whole and member.num_bytes >= stop.num_bytes)
    # Several records in a member: FastWARC does not say where they are, so all members are walked.
    end = position
    while content[end : end + len(_GZIP)] == _GZIP:
        member = _member(content, end)
        if member.error:
            return _Reached(end, end + 1, False)
        end = member.end
    return _Reached(end, end, stop.whole)


def _member(content: mmap.mmap, start: int) -> _Member:
    """Decompress the gzip member at `start`."""
    inflater = zlib.decompressobj(wbits=31)
    position, num_bytes, head = start, 0, None
    try:
        while not inflater.eof:
            piece = inflater.unconsumed_tail
            if not piece:
                piece = content[position : position + (1 << 16)]
                position += len(piece)
                if not piece:
                    return _Member(position, num_bytes, "truncated")
            output = inflater.decompress(piece, 1 << 20)
            num_bytes += len(output)
            if head is None and output:
                head = output.find(_BLANK_LINE)
    except zlib.error:
        return _Member(start, num_bytes, "damaged")
    if head is not None and head >= 0:
        num_bytes -= head + len(_BLANK_LINE)
    return _Member(position - len(inflater.unused_data), num_bytes, None)


def _next_record(content: mmap.mmap, start: int) -> int | None:
    """Offset of the next place from `start` on where a record opens; None if there is none."""
    if content[: len(_GZIP)] != _GZIP:
        line = _RECORD_LINE.search(content, start)
        if line is not None or content[:5] == b"WARC/":
            return line.start() if line else None
    while (start := content.find(_GZIP, start)) >= 0:
        try:
            if zlib.decompressobj(wbits=31).decompress(content[start : start + 1024], 5) == b"WARC/":
                return start
        except zlib.error:
            pass
        start += 1
    return None
