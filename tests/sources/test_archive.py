import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from warc_records import http, member, members, record

from tuwen.sources import Report
from tuwen.sources.archive import MAX_HEAD_BYTES, Record, records

PLAIN = [
    record("response", f"http://a.test/{number}", http(random.Random(number).randbytes(700), "text/html"))
    for number in range(5)
]
GZIP = [member(data) for data in PLAIN]
REQUEST = record("request", "http://a.test/0", b"GET / HTTP/1.1\r\n\r\n")


def read(path: Path, data: bytes, max_bytes: int = 1 << 20) -> tuple[list[Record], Report]:
    path.write_bytes(data)
    report = Report()
    return list(records(path, report, max_bytes=max_bytes)), report


def numbers(found: list[Record]) -> str:
    """Which records were found; a capital letter marks those that are not whole."""
    names = "abcde"
    last = [int((item.header(b"WARC-Target-URI") or "")[-1]) for item in found]
    return "".join(
        names[number].upper() if item.error else names[number] for number, item in zip(last, found, strict=True)
    )


def damaged(data: bytes) -> bytes:
    return data[:300] + bytes(byte ^ 0x55 for byte in data[300:340]) + data[340:]


def false_length(number: int, change: int) -> bytes:
    block = int(PLAIN[number].split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return PLAIN[number].replace(b"Content-Length: %d" % block, b"Content-Length: %d" % (block + change), 1)


@pytest.mark.parametrize(
    ("data", "found", "error"),
    [
        pytest.param(b"".join(GZIP), "abcde", None, id="gzip"),
        pytest.param(b"".join(PLAIN), "abcde", None, id="plain"),
        pytest.param(member(b"".join(PLAIN)), "abcde", None, id="one member"),
        pytest.param(member(b"".join(PLAIN[:2])) + member(b"".join(PLAIN[2:])), "abcde", None, id="two members"),
        pytest.param(GZIP[0] + member(b"") + GZIP[1], "ab", None, id="empty member"),
        pytest.param(PLAIN[0] + b"\r\n\r\n" + PLAIN[1], "ab", None, id="more blank lines"),
        pytest.param(b"".join(GZIP)[:-300], "abcdE", "truncated", id="gzip cut in a record"),
        pytest.param(b"".join(GZIP)[:-3], "abcdE", "truncated", id="gzip cut in the checksum"),
        pytest.param(b"".join(GZIP[:4]) + GZIP[4][:15], "abcd", "truncated", id="gzip cut in its header"),
        pytest.param(b"".join(PLAIN)[:-100], "abcdE", "truncated", id="plain cut in a record"),
        pytest.param(b"".join(PLAIN[:4]) + PLAIN[4][:160], "abcd", "truncated", id="plain cut in its headers"),
        pytest.param(PLAIN[0] + REQUEST[:-20], "a", "truncated", id="cut in a request"),
        pytest.param(GZIP[0] + member(REQUEST)[:-20], "a", "truncated", id="gzip cut in a request"),
        pytest.param(GZIP[0] + damaged(GZIP[1]) + GZIP[2], "ac", "damaged", id="damaged member"),
        pytest.param(GZIP[0] + damaged(GZIP[1]) + damaged(GZIP[2]) + GZIP[3], "ad", "damaged", id="two of them"),
        pytest.param(GZIP[0] + GZIP[1][:200] + GZIP[2], "ac", "damaged", id="half a member"),
        pytest.param(GZIP[0] + b"garbage" + GZIP[1], "ab", "damaged", id="garbage between members"),
        pytest.param(b"xx" + GZIP[0] + GZIP[1], "ab", "damaged", id="garbage before members"),
        pytest.param(PLAIN[0] + b"garbage\r\n" + PLAIN[1], "ab", "damaged", id="garbage between records"),
        pytest.param(GZIP[0] + GZIP[1] + b"\0" * 512, "ab", "damaged", id="zeros at the end"),
        pytest.param(GZIP[0] + member(false_length(1, 100)) + GZIP[2] + GZIP[3], "aBcd", "damaged", id="too long"),
        pytest.param(GZIP[0] + member(false_length(1, 10**6)) + GZIP[2] + GZIP[3], "aBcd", "damaged", id="to the end"),
        pytest.param(PLAIN[0] + false_length(1, 10**5) + PLAIN[2], "aBc", "damaged", id="plain, to the end"),
        pytest.param(GZIP[0] + member(false_length(1, -100)) + GZIP[2], "abc", "damaged", id="too short"),
        pytest.param(b"", "", "unreadable", id="empty"),
        pytest.param(b"<html>no WARC</html>" * 50, "", "unreadable", id="another file"),
        pytest.param(member(b"no WARC" * 50), "", "unreadable", id="another gzip file"),
        pytest.param(member(b""), "", "unreadable", id="only an empty member"),
        pytest.param(os.urandom(1 << 16), "", "unreadable", id="noise"),
    ],
)
def test_damage_is_reported_and_passed_over(tmp_path: Path, data: bytes, found: str, error: str | None) -> None:
    items, report = read(tmp_path / "x.warc", data)
    assert numbers(items) == found
    assert report.error == error
    assert (report.num_bad_records > 0) == (error is not None)
    if error:
        assert report.messages[-1] == f"{report.num_records} records read"


@pytest.mark.parametrize("pack", [bytes, member], ids=["plain", "gzip"])
@pytest.mark.parametrize("spelled", [bytes.lower, bytes.upper, lambda head: head + b"\r\nContent-Type: twice"])
def test_headers_in_any_spelling(
    tmp_path: Path, pack: Callable[[bytes], bytes], spelled: Callable[[bytes], bytes]
) -> None:
    def respelled(data: bytes) -> bytes:
        version, _, rest = data.partition(b"\r\n")
        head, _, block = rest.partition(b"\r\n\r\n")
        return version + b"\r\n" + spelled(head) + b"\r\n\r\n" + block

    parts = [PLAIN[0], respelled(PLAIN[1]), respelled(REQUEST), respelled(PLAIN[2]), PLAIN[3], respelled(PLAIN[4])]
    items, report = read(tmp_path / "x.warc", b"".join(map(pack, parts)))
    assert (numbers(items), report.num_records, report.error) == ("abcde", 6, None)
    assert [item.block for item in items] == [data.partition(b"\r\n\r\n")[2][:-4] for data in PLAIN]
    items, report = read(tmp_path / "x.warc", b"".join(map(pack, parts))[:-200])
    assert (numbers(items)[:4], report.error) == ("abcd", "truncated")


def test_blocks_and_offsets_are_exact(tmp_path: Path) -> None:
    items, report = read(tmp_path / "x.warc.gz", member(REQUEST) + b"".join(GZIP))
    assert [item.block for item in items] == [data.partition(b"\r\n\r\n")[2][:-4] for data in PLAIN]
    assert [item.offset for item in items][:2] == [len(member(REQUEST)), len(member(REQUEST)) + len(GZIP[0])]
    assert report.num_records == 6


def test_damage_in_a_large_record_leaves_its_name(tmp_path: Path) -> None:
    large = bytearray(member(record("response", "http://a.test/1", http(os.urandom(300_000), "image/png"))))
    large[200_000:200_050] = b"\xff" * 50
    items, report = read(tmp_path / "x.warc.gz", GZIP[0] + bytes(large) + GZIP[2])
    assert (numbers(items), items[1].error, report.error) == ("aBc", "damaged", "damaged")
    assert report.messages[0].endswith(f"went on at offset {len(GZIP[0]) + len(large)}")


def test_a_false_checksum_is_damage(tmp_path: Path) -> None:
    last = bytearray(member(record("response", "http://a.test/1", http(os.urandom(200_000), "image/png"))))
    last[-6] ^= 1
    items, report = read(tmp_path / "x.warc.gz", GZIP[0] + bytes(last))
    assert (numbers(items), report.error) == ("aB", "damaged")


def test_records_beyond_the_limit_are_not_held(tmp_path: Path) -> None:
    large = member(record("response", "http://a.test/1", http(bytes(3 << 20), "image/png")))
    items, report = read(tmp_path / "x.warc.gz", GZIP[0] + large + GZIP[2])
    assert (numbers(items), items[1].error, len(items[1].block)) == ("aBc", "too_large", MAX_HEAD_BYTES)
    assert report.error is None


@pytest.mark.parametrize("writer", [ZstdWriter, Lz4Writer])
def test_other_compressions_are_read_until_damage(tmp_path: Path, writer: type) -> None:
    path = tmp_path / "x.warc"
    stream = writer(str(path))
    for data in PLAIN:
        stream.write(data)
        stream.finish()
    stream.close()
    whole = path.read_bytes()
    assert numbers(read(path, whole)[0]) == "abcde"
    items, report = read(path, whole[:-50])
    assert numbers(items).startswith("abcd")
    assert report.error == "damaged"


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    report = Report()
    assert list(records(tmp_path / "gone.warc", report, max_bytes=1)) == []
    assert report.error == "unreadable"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, sum(map(len, GZIP))), st.booleans())
def test_no_cut_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, cut: int, compressed: bool) -> None:
    parts = GZIP if compressed else PLAIN
    data = b"".join(parts)[:cut]
    items, report = read(tmp_path_factory.getbasetemp() / "cut.warc", data)
    ends = [sum(map(len, parts[:number])) for number in range(1, 6)]
    whole = sum(end <= len(data) for end in ends)
    # Of an uncompressed record, the four bytes after the block carry nothing.
    closed = len(data) in ends or (not compressed and any(0 < end - len(data) <= 4 for end in ends))
    assert numbers(items)[:whole] == "abcde"[:whole]
    assert (report.error is None) == closed
    if report.error is not None:
        assert all(item.error for item in items[whole:])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.data())
def test_other_members_survive_damage(
    tmp_path_factory: pytest.TempPathFactory, number: int, draw: st.DataObject
) -> None:
    parts = list(GZIP)
    position = draw.draw(st.integers(10, len(parts[number]) - 9))
    spoilt = draw.draw(st.binary(min_size=1, max_size=40).filter(lambda data: any(data)))
    part = bytearray(parts[number])
    for offset, byte in enumerate(spoilt):
        if position + offset < len(part) - 8:
            part[position + offset] ^= byte
    if bytes(part) == parts[number]:
        return
    parts[number] = bytes(part)
    items, report = read(tmp_path_factory.getbasetemp() / "damaged.warc.gz", b"".join(parts))
    others = "abcde".replace("abcde"[number], "")
    assert "".join(name for name in numbers(items) if name in others) == others
    assert report.error is not None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([*PLAIN, *GZIP, b"WARC/1.0\r\n", b"\r\n\r\n"]))))
def test_any_bytes_are_read_to_their_end(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    read(tmp_path_factory.getbasetemp() / "any.warc", b"".join(pieces))


def test_members_of_the_shipped_crawl(demo_crawl: Path) -> None:
    report = Report()
    found = list(records(demo_crawl, report, max_bytes=1 << 26))
    assert (len(found), report.num_records, report.error) == (572, len(members(demo_crawl)), None)
