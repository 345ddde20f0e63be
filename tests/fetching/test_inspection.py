"""What is let through, what is refused and why, and that refused bytes are not handed on."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import struct
import threading
import time
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tuwen.errors import UsageError
from tuwen.fetching import inspection
from tuwen.fetching.blocklists import Blocklists
from tuwen.fetching.inspection import Inspections, Inspector, declared_size
from tuwen.fetching.outcomes import OUTCOMES
from tuwen.fetching.settings import Fetch, Reencode
from tuwen.sources.sniffing import image_format
from tuwen.stages.image.perceptual_hash import PerceptualHash
from tuwen.stages.image.pixels import decode


def inspector(**options: Any) -> Inspector:
    return Inspector(Fetch(contact="crawl@example.org", **options))


def saved(kind: str, size: tuple[int, int] = (120, 90), seed: int = 1, **options: Any) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(stream, kind, **options)
    return stream.getvalue()


JPEG = saved("JPEG")
SHA256, MD5 = hashlib.sha256(JPEG).hexdigest(), hashlib.md5(JPEG, usedforsecurity=False).hexdigest()
KINDS = {
    "jpeg": JPEG,
    "progressive": saved("JPEG", progressive=True),
    "png": saved("PNG"),
    "gif": saved("GIF"),
    "webp lossy": saved("WEBP"),
    "webp lossless": saved("WEBP", lossless=True),
    "webp extended": saved("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "avif": saved("AVIF"),
    "bmp": saved("BMP"),
    "tiff": saved("TIFF"),
    "ico": saved("ICO", sizes=[(120, 90)]),
    "jp2": saved("JPEG2000"),
}


@pytest.mark.parametrize("name", KINDS)
def test_images_pass_as_they_came(name):
    body = KINDS[name]
    inspected = inspector()(body)
    assert (inspected.error, inspected.stored) == (None, body)
    assert inspected.sha256 == hashlib.sha256(body).hexdigest()
    kind = image_format(body)
    assert kind is not None and declared_size(body, kind) == (120, 90)


REFUSED = {
    "empty_body": [b""],
    "not_an_image": [
        b"<!DOCTYPE html><html><body>This image was removed</body></html>",
        b"not found",
        b"%PDF-1.7\n",
        b"\0" * 1000,
        gzip.compress(b"<svg/>"),
        b"{}",
    ],
    "vector_image": [
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<?xml version="1.0"?>\n<!-- x -->\n<svg width="1">',
    ],
    "undecodable": [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0" + b"\0" * 500,
        b"\x89PNG\r\n\x1a\n",
        KINDS["png"][:20],
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(13),
        b"GIF89a",
        KINDS["webp lossy"][:24],
        KINDS["avif"][:40],
        b"\xff\x0a" + bytes(100),
        b"BM" + KINDS["bmp"][2:18],
    ],
}


@pytest.mark.parametrize("error", REFUSED)
def test_what_is_refused_and_why(error):
    for body in REFUSED[error]:
        inspected = inspector()(body)
        assert (inspected.error, inspected.stored) == (error, None), body[:40]
        assert inspected.sha256 == hashlib.sha256(body).hexdigest()


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(JPEG)
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_with_a_large_frame(side: int) -> bytes:
    """The canvas is 1 x 1; the frame is what takes the memory."""
    data = bytearray(KINDS["gif"])
    data[6:10] = struct.pack("<HH", 1, 1)
    frame = data.index(b",\0\0\0\0" + struct.pack("<HH", 120, 90))
    data[frame + 5 : frame + 9] = struct.pack("<HH", side, side)
    return bytes(data)


def webp_canvas(side: int) -> bytes:
    data = bytearray(KINDS["webp extended"])
    data[24:27] = data[27:30] = (side - 1).to_bytes(3, "little")
    return bytes(data)


def test_bombs_are_refused_by_their_header():
    bodies = [png_header(50_000, 50_000), png_header(65_536, 1), png_header(1, 2**31), jpeg_header(65_000, 65_000)]
    bodies += [gif_with_a_large_frame(60_000), webp_canvas(16_383), webp_canvas(1 << 24)]
    for body in bodies:
        assert inspector()(body).error == "too_many_pixels", body[:30]
    assert inspector(max_pixels=120 * 90 - 1)(JPEG).error == "too_many_pixels"
    assert inspector(max_pixels=120 * 90)(JPEG).error is None


@pytest.mark.parametrize(
    "expected", [f"sha256:{SHA256}", f"sha256:{SHA256[:32]}", f"SHA256:{SHA256.upper()}", f"md5:{MD5}"]
)
def test_the_promised_image(expected):
    assert inspector()(JPEG, (expected,)).error is None
    assert inspector()(JPEG, (f"md5:{'0' * 32}", expected, f"sha256:{'0' * 64}")).error is None


def test_nothing_promised():
    assert inspector()(JPEG, ()).error is None


@pytest.mark.parametrize(
    "expected",
    [
        f"sha256:{SHA256[:31]}x",
        f"sha256:{SHA256[:31]}",  # too short to prove anything
        f"sha256:{hashlib.sha256(b'other').hexdigest()}",
        f"sha256:{hashlib.sha256(b'other').hexdigest()[:32]}",
        f"md5:{'0' * 32}",
        f"md5:{SHA256[:32]}",
        SHA256,
        "",
    ],
)
def test_another_image_than_promised(expected):
    inspected = inspector()(JPEG, (expected, f"sha256:{'0' * 64}"))
    assert (inspected.error, inspected.stored, inspected.sha256) == ("hash_mismatch", None, SHA256)


def test_a_page_is_told_from_another_image():
    assert inspector()(b"<html>gone</html>", (f"sha256:{SHA256}",)).error == "not_an_image"


@pytest.mark.parametrize(
    "line",
    [
        SHA256,
        SHA256.upper(),
        MD5,
        f"{SHA256},csam,2024",
        f'"{MD5}";x',
        f"  {SHA256}\treason",
        f"{MD5} # why",
        f"{MD5}#",
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "list.csv.gz"])
def test_blocklisted_bytes(tmp_path, line, name):
    text = f"\ufeff# a list\r\n\n{'0' * 64}\r\n{line}\r\n{'f' * 32}\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    inspect = inspector(blocklists=(str(tmp_path / name),), reencode=Reencode(32))
    blocked = inspect(JPEG, (f"md5:{'0' * 32}",))
    assert (blocked.error, blocked.stored, blocked.sha256) == ("blocklisted", None, SHA256)
    assert inspect(saved("JPEG", seed=2)).error is None


def test_bytes_that_are_no_image_can_be_listed_too(tmp_path):
    page = b"<html>bad</html>"
    (tmp_path / "list").write_text(hashlib.sha256(page).hexdigest())
    assert inspector(blocklists=(str(tmp_path / "list"),))(page).error == "blocklisted"


def stage_hash(body: bytes) -> int:
    batch = pa.record_batch({"bytes": pa.array([body])})
    return int(PerceptualHash()(batch, [decode(body, PerceptualHash.pixels)])["perceptual_hash"][0].as_py())


def test_a_listed_picture_in_any_size_and_quality(tmp_path):
    (tmp_path / "list").write_text(f"{'0' * 64}\n{stage_hash(JPEG):016x}\n")
    inspect = inspector(blocklists=(str(tmp_path / "list"),))
    for body in (JPEG, saved("PNG"), saved("JPEG", quality=40), saved("WEBP", (240, 180)), saved("JPEG", (60, 45))):
        assert inspect(body).error == "blocklisted"
        assert inspect(body).stored is None
    assert inspect(saved("JPEG", seed=2)).error is None


@pytest.mark.parametrize(("distance", "error"), [(2, None), (3, "blocklisted"), (16, "blocklisted"), (0, None)])
def test_distance_of_pictures(tmp_path, distance, error):
    (tmp_path / "list").write_text(f"{stage_hash(JPEG) ^ (1 << 63 | 1 << 31 | 1):016x}")
    assert inspector(blocklists=(str(tmp_path / "list"),), blocklist_distance=distance)(JPEG).error == error


def test_what_cannot_be_compared_does_not_pass(tmp_path):
    (tmp_path / "list").write_text("0" * 16)
    cut = JPEG[: len(JPEG) // 2]
    assert inspector()(cut).error is None
    assert inspector(blocklists=(str(tmp_path / "list"),))(cut).error == "undecodable"


@pytest.mark.parametrize(
    "line", ["hello", SHA256[:-1], SHA256 + "0", "0" * 40, "sha256,reason", "md5:" + MD5, "é" * 32]
)
def test_a_wrong_line_is_named(tmp_path, line):
    path = tmp_path / "list.txt"
    path.write_text(f"# fine\n{MD5}\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"list\.txt, line 3: .* is no hash") as caught:
        inspector(blocklists=(str(path),))
    assert line[:40] in str(caught.value)


def test_blocklists_that_cannot_be_read(tmp_path):
    (tmp_path / "not.gz").write_bytes(MD5.encode())
    (tmp_path / "cut.gz").write_bytes(gzip.compress(MD5.encode() * 100)[:-12])
    for name in ("missing", "not.gz", "cut.gz", "."):
        with pytest.raises(UsageError, match="cannot read blocklist"):
            inspector(blocklists=(str(tmp_path / name),))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sets(st.binary(min_size=32, max_size=32), max_size=30), st.binary(min_size=32, max_size=32), st.booleans())
def test_lists_hold_exactly_what_they_list(tmp_path, digests, other, zeros):
    digests = {digest[:-3] + b"\0\0\0" for digest in digests} if zeros else digests
    (tmp_path / "list").write_text("\n".join(digest.hex() + "\n" + digest[:16].hex() for digest in digests))
    lists = Blocklists([str(tmp_path / "list")], 0)
    assert all(lists.hold_sha256(digest) and lists.hold_md5(digest[:16]) for digest in digests)
    for absent in {other, bytes(32), b"\xff" * 32} - digests:
        assert not lists.hold_sha256(absent)


def test_lists_are_small_in_memory(tmp_path):
    digests = np.random.default_rng(0).bytes(32 * 100_000)
    (tmp_path / "list").write_text("\n".join(digests[n : n + 32].hex() for n in range(0, len(digests), 32)))
    tracemalloc.start()
    lists = Blocklists([str(tmp_path / "list")], 0)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4 << 20 and most < 10 << 20  # a million: 32 and 100 MB
    assert lists.hold_sha256(digests[32 * 777 : 32 * 778])


def test_smaller_images_keep_the_digest_of_the_original():
    inspected = inspector(reencode=Reencode(short_side=32))(JPEG, (f"sha256:{SHA256}",))
    assert (inspected.error, inspected.sha256) == (None, SHA256)
    assert inspected.stored is not None and Image.open(io.BytesIO(inspected.stored)).size == (43, 32)
    cut = inspector(reencode=Reencode(short_side=32))(JPEG[:-300])
    assert (cut.error, cut.stored) == ("undecodable", None)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 200), st.binary(max_size=20))
def test_any_bytes_have_one_outcome(name, place, junk):
    body = KINDS[name][:place] + junk + KINDS[name][place + len(junk) :]
    inspected = inspector()(body)
    assert inspected.error is None or inspected.error in OUTCOMES
    assert inspected.stored == (body if inspected.error is None else None)


def test_so_many_pixels_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of 4 million pixels where 10 million may be in work: two at a time; one of 16 million goes alone."""
    monkeypatch.setattr(inspection, "PIXELS_AT_ONCE", 10_000_000)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    lock = threading.Lock()
    now: list[int] = []
    most: list[int] = []

    def reencoding(body: bytes, options: Reencode, max_pixels: int) -> bytes:
        size = declared_size(body, "png")
        assert size is not None
        with lock:
            now.append(size[0] * size[1])
            most.append(sum(now))
        time.sleep(0.03)
        with lock:
            now.remove(size[0] * size[1])
        return body

    monkeypatch.setattr("tuwen.fetching.reencode.reencode", reencoding)
    small, large = (saved("PNG", (side, side)) for side in (2000, 4000))

    async def main() -> None:
        inspect = Inspections(Fetch(contact="a@b.test", reencode=Reencode()))
        found = await asyncio.gather(*(inspect(body) for body in [*[small] * 5, large, *[small] * 5]))
        assert {one.error for one in found} == {None}
        inspect.close()

    asyncio.run(main())
    assert max(most) == 16_000_000 and 8_000_000 in most and set(most) == {4_000_000, 8_000_000, 16_000_000}


def test_no_more_threads_than_processors_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    names: set[str] = set()

    def reencoding(body: bytes, options: Reencode, max_pixels: int) -> bytes:
        names.add(threading.current_thread().name)
        time.sleep(0.01)
        return body

    monkeypatch.setattr("tuwen.fetching.reencode.reencode", reencoding)
    body = saved("PNG", (8, 8))

    async def main() -> None:
        inspect = Inspections(Fetch(contact="a@b.test", reencode=Reencode()))
        await asyncio.gather(*(inspect(body) for _ in range(12)))
        inspect.close()

    asyncio.run(main())
    assert len(names) == 2
