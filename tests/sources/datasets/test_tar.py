"""Tar archives, against `tarfile` where it is right and by hand where it would be fooled."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.sources import Report
from tuwen.sources.datasets.tar import Member, members

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=120).filter(
    lambda name: name.strip(".") != ""
)


def packed(entries: list[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as tar:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def read(path: Path, data: bytes, most: int = 1 << 20) -> tuple[list[Member], Report]:
    path.write_bytes(data)
    report = Report()
    found = list(members(str(path), report, lambda name, size: size <= most))
    assert any(member.kind == "damaged" for member in found) == (report.error is not None)
    return [member for member in found if member.kind != "damaged"], report


@given(st.lists(st.tuples(NAMES, st.binary(max_size=2_000)), max_size=6), st.booleans(), st.booleans())
def test_what_tarfile_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]], pax: bool, compressed: bool
) -> None:
    data = packed(entries, tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)
    path = tmp_path_factory.getbasetemp() / "any.tar"
    found, report = read(path, gzip.compress(data, 1) if compressed else data)
    assert [(member.name, member.data) for member in found] == entries
    assert report == Report()


@given(st.data())
def test_cut_anywhere_yields_what_was_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    entries = [(f"{number:03}.txt", bytes([number]) * 700) for number in range(5)]
    whole = packed(entries)
    end = 5 * (512 + 1_024)
    cut = data.draw(st.integers(0, end))
    found, report = read(tmp_path_factory.getbasetemp() / "cut.tar", whole[:cut])
    assert [(member.name, member.data) for member in found] == entries[: (cut + 324) // 1_536]
    assert report.error == "truncated" and report.messages


@given(st.binary(max_size=3_000))
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    for content in (data, packed([("a.txt", b"x")])[:1024] + data, gzip.compress(data)):
        read(tmp_path_factory.getbasetemp() / "noise.tar", content)


@given(st.integers(0, 511), st.binary(min_size=1, max_size=12))
def test_a_damaged_header_is_survived(tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes) -> None:
    data = bytearray(packed([("a.txt", b"x" * 600), ("b.txt", b"y")]))
    data[place : place + len(noise)] = noise
    header = data[:512]
    checksum = sum(header[:148]) + 8 * 32 + sum(header[156:])
    data[148:156] = b"%06o\0 " % checksum  # so that the rest of the header is believed
    found, report = read(tmp_path_factory.getbasetemp() / "bad.tar", bytes(data))
    assert report.error in (None, "truncated", "damaged")
    assert len(found) <= 2


def header(kind: bytes, size: int, name: bytes = b"a.jpg") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % (sum(block) + 8 * 32)
    return bytes(block)


@pytest.mark.parametrize(
    ("kind", "what"),
    [(b"1", "link"), (b"2", "link"), (b"3", "special"), (b"5", "folder"), (b"S", "sparse"), (b"V", "unknown")],
)
def test_what_is_no_plain_file_is_named_and_not_read(kind: bytes, what: str, tmp_path: Path) -> None:
    found, report = read(tmp_path / "x.tar", header(kind, 0) + packed([("b.txt", b"fine")]))
    assert [(member.kind, member.data) for member in found] == [(what, None), ("file", b"fine")]
    assert report.error is None


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g"])
def test_claimed_sizes_cost_no_memory(kind: bytes, tmp_path: Path) -> None:
    found, report = read(tmp_path / "x.tar", header(kind, 1 << 45) + b"data", most=1 << 50)
    assert (found, report.error) == ([], "truncated")
    found, report = read(tmp_path / "x.tar", header(kind, 1 << 70))
    assert (found, report.error) == ([], "damaged")


def test_a_gzip_bomb_is_passed_over(tmp_path: Path) -> None:
    bomb = gzip.compress(packed([("a.jpg", bytes(64 << 20)), ("b.txt", b"fine")]))
    assert len(bomb) < 100_000
    found, report = read(tmp_path / "x.tar", bomb)
    assert [(member.num_bytes, member.data) for member in found] == [(64 << 20, None), (4, b"fine")]
    assert report == Report()


def test_reading_goes_on_after_a_damaged_header(tmp_path: Path) -> None:
    data = bytearray(packed([(f"{number}.txt", b"%d" % number * 700) for number in range(4)]))
    place = data.index(b"1.txt")
    for field, noise, what in ((148, b"7", "checksum"), (124, b"zz", "checksum")):
        spoiled = bytearray(data)
        spoiled[place + field : place + field + len(noise)] = noise
        found, report = read(tmp_path / "x.tar", bytes(spoiled))
        assert [member.name for member in found] == ["0.txt", "2.txt", "3.txt"]
        assert (report.error, report.num_bad_records) == ("damaged", 1)
        assert f"byte {place}:" in report.messages[0] and what in report.messages[0]


def test_damage_is_counted(tmp_path: Path) -> None:
    data = packed([("a.txt", b"x" * 3_000)])
    for spoiled in (data[:2_000], gzip.compress(data)[:-20], b"\x1f\x8b\x08" + b"x" * 99, b"no tar" * 200):
        _, report = read(tmp_path / "x.tar", spoiled)
        assert report.error and report.num_bad_records == 1 and len(report.messages) == 1
    assert "literal" not in report.messages[0]
