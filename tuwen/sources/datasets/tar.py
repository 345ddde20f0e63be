"""Tar archives from strangers, read front to back: plain and gzip, ustar, pax and GNU.

`tarfile` trusts what headers claim: a pax header of many gigabytes is read into memory, a sparse member is as large as
it says. Here only plain files are read, and no more of one than the caller wants.
<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from tuwen.sources import Report
from tuwen.sources.datasets.files import open_binary

BLOCK = 512
MAX_EXTENDED_BYTES = 1 << 20  # of a header that names the next member
_CHUNK = 1 << 20
_EMPTY = bytes(BLOCK)
_FILE, _LONG_NAME, _PAX, _PAX_GLOBAL = b"0\0 7", b"L", b"x", b"g"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Member:
    """One entry. `data` is None where it is no plain file (`kind` is link, folder, sparse, special) or not wanted."""

    name: str
    kind: str
    num_bytes: int
    data: bytes | None


class _Truncated(Exception):
    """The archive ends within a member."""


def members(location: str, report: Report, wanted: Callable[[str, int], bool]) -> Iterator[Member]:
    """All members in order; `wanted(name, num_bytes)` says whether to read a plain file.

    Where the archive is cut off or damaged, what was whole has been yielded and `report` says so.
    """
    try:
        with open_binary(location) as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
            yield from _members(stream, wanted)
    except (_Truncated, EOFError) as error:
        _fail(report, "truncated", str(error) or "the compressed stream is cut off")
    except (gzip.BadGzipFile, zlib.error, ValueError) as error:
        _fail(report, "damaged", str(error))
    except OSError as error:
        _fail(report, "unreadable", error.strerror or str(error))


def _fail(report: Report, error: str, message: str) -> None:
    report.error = error
    report.messages.append(message)


def _members(stream: BinaryIO, wanted: Callable[[str, int], bool]) -> Iterator[Member]:
    long_name, pax = None, dict[str, str]()
    offset = 0
    while header := _header(stream, offset):
        size = _number(header[124:136])
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
            read = what == "file" and wanted(name, size)
            data = _take(stream, size, size) if read else _take(stream, 0 if what in _BODILESS else size, 0)
            yield Member(name, what, size, data if read else None)
            long_name, pax = None, {}
        offset += BLOCK + size


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


def _header(stream: BinaryIO, offset: int) -> bytes | None:
    """The next header; None at the end of the archive."""
    block = _read(stream, BLOCK)
    if block == _EMPTY:
        return None
    if len(block) < BLOCK:
        raise _Truncated(f"the file ends at byte {offset + len(block)} without the mark of an archive's end")
    if int(block[148:156].strip(b" \0") or b"0", 8) != sum(block) - sum(block[148:156]) + 8 * 32:
        raise ValueError(f"no tar header at byte {offset}: the checksum is wrong")
    return block


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base 256, for what eleven octal digits cannot say
        number = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        number = int(field.strip(b" \0") or b"0", 8)
    if not 0 <= number < 1 << 62:
        raise ValueError("a member claims a size that no file has")
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
