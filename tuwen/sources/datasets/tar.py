"""Tar archives from strangers, read front to back: plain and gzip, ustar, pax and GNU.

`tarfile` trusts what headers claim: a pax header of many gigabytes is read into memory, a sparse member is as large as
it says. Here only plain files are read, and no more of one than the caller wants.
<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from tuwen.sources import Report
from tuwen.sources.datasets.files import open_binary
from tuwen.sources.datasets.rows import complain

BLOCK = 512
MAX_EXTENDED_BYTES = 1 << 20  # of a header that names the next member
_CHUNK = 1 << 20
_EMPTY = bytes(BLOCK)
_FILE, _LONG_NAME, _PAX, _PAX_GLOBAL = b"0\0 7", b"L", b"x", b"g"
_GZIP = b"\x1f\x8b"
_CHECKSUM = re.compile(rb"[ \0]*([0-7]{1,7})[ \0]*")
_OCTAL = re.compile(rb"[0-7]+")


@dataclass(frozen=True)
class Member:
    """One entry. `data` is None where it is no plain file (`kind` is link, folder, sparse, special) or not wanted;
    it begins at byte `offset` of the archive, once that is unpacked.

    Of the kind `damaged` is what stands for entries that are lost, up to the next header that can be read or the end.
    """

    name: str
    kind: str
    num_bytes: int
    data: bytes | None
    offset: int = 0


_LOST = Member("", "damaged", 0, None)


class _Truncated(Exception):
    """The archive ends within a member."""


class _BadHeader(Exception):
    """A block that stands where a header should, and is none."""


def members(location: str, report: Report, wanted: Callable[[str, int], bool]) -> Iterator[Member]:
    """All members in order; `wanted(name, num_bytes)` says whether to read a plain file.

    Where the archive is cut off or damaged, what is whole is yielded and `report` says so. After a damaged header
    reading goes on at the next one.
    """
    try:
        with open_binary(location) as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
            yield from _members(stream, report, wanted)
        return
    except (_Truncated, EOFError) as error:
        complain(report, str(error) or "the compressed stream is cut off", "truncated")
    except (gzip.BadGzipFile, zlib.error) as error:
        complain(report, f"the compressed stream is damaged: {error}", "damaged")
    except OSError as error:
        complain(report, error.strerror or str(error), "unreadable")
    yield _LOST


def _members(stream: BinaryIO, report: Report, wanted: Callable[[str, int], bool]) -> Iterator[Member]:
    long_name, pax = None, dict[str, str]()
    while True:
        offset = stream.tell()
        try:
            header, size = _header(stream)
        except _BadHeader as error:
            complain(report, f"no tar header at byte {offset}: {error}; what follows is lost up to the next", "damaged")
            header, size = _next_header(stream)
            long_name, pax = None, {}
            yield _LOST
        if not header:
            return
        kind = header[156:157]
        if kind in (_LONG_NAME, _PAX, _PAX_GLOBAL):
            body = _take(stream, size, MAX_EXTENDED_BYTES)
            if kind == _LONG_NAME and body:
                long_name = body.rstrip(b"\0").decode("utf-8", "replace")
            elif kind == _PAX and body:
                pax = _records(body)
        else:
            if pax.get("size", "").isdecimal():
                size = int(pax["size"][:20])
            name = pax.get("path") or long_name or _name(header)
            what = _kind(kind, name, pax)
            read, offset = what == "file" and wanted(name, size), stream.tell()
            data = _take(stream, size, size) if read else _take(stream, 0 if what in _BODILESS else size, 0)
            yield Member(name, what, size, data if read else None, offset)
            long_name, pax = None, {}


_BODILESS = ("link", "folder", "special")


def _kind(kind: bytes, name: str, pax: dict[str, str]) -> str:
    if kind == b"S" or any(key.startswith("GNU.sparse.") for key in pax):
        return "sparse"
    if kind in (b"1", b"2"):
        return "link"
    if kind == b"5" or name.endswith("/"):
        return "folder"
    if kind in (b"3", b"4", b"6"):
        return "special"
    return "file" if kind and kind in _FILE else "unknown"


def _header(stream: BinaryIO) -> tuple[bytes, int]:
    """The next header and the size it tells; no bytes at the end of the archive."""
    block = _read(stream, BLOCK)
    if block == _EMPTY:
        return b"", 0
    if len(block) < BLOCK:
        raise _Truncated(f"the file ends at byte {stream.tell()} without the mark of an archive's end")
    if not _has_checksum(block):
        raise _BadHeader("the checksum is wrong")
    return block, _number(block[124:136])


def _next_header(stream: BinaryIO) -> tuple[bytes, int]:
    """The first block from here on that is a header, as `_header` has it; no bytes where none follows."""
    while len(block := _read(stream, BLOCK)) == BLOCK:
        if _has_checksum(block):
            with contextlib.suppress(_BadHeader):
                return block, _number(block[124:136])
    return b"", 0


def _has_checksum(block: bytes) -> bool:
    told = _CHECKSUM.fullmatch(block, 148, 156)
    return told is not None and int(told[1], 8) == sum(block) - sum(block[148:156]) + 8 * 32


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base 256, for what eleven octal digits cannot say
        number = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        digits = field.strip(b" \0") or b"0"
        number = int(digits, 8) if _OCTAL.fullmatch(digits) else -1
    if not 0 <= number < 1 << 62:
        raise _BadHeader("it tells a size that no file has")
    return number


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _records(body: bytes) -> dict[str, str]:
    """The records `LENGTH KEY=VALUE\\n` of a pax header, as far as they are well formed."""
    found, start = {}, 0
    while (space := body.find(b" ", start, start + 20)) > 0 and body[start:space].isdigit():
        length = int(body[start:space])
        key, equals, value = body[space + 1 : start + length - 1].partition(b"=")
        if not equals or length <= space - start:
            break
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        start += length
    return found


def _take(stream: BinaryIO, size: int, most: int) -> bytes:
    """The body of a member and the padding after it; no bytes where it is larger than `most`."""
    data = _read(stream, size) if size <= most else b""
    rest = size + -size % BLOCK - len(data)
    if len(data) < size <= most:
        raise _Truncated(f"cut off within a member: {len(data)} of {size} bytes")
    while rest > 0:
        skipped = len(stream.read(min(rest, _CHUNK)))
        if not skipped:
            if rest > -size % BLOCK:
                raise _Truncated(f"cut off within a member of {size} bytes")
            return data
        rest -= skipped
    return data


def _read(stream: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes, fewer only at the end. In steps: memory follows what is there, not what is claimed."""
    pieces = []
    while size > 0 and (piece := stream.read(min(size, _CHUNK))):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
