import time

import hostile_images
import pytest

from tuwen.sources.sniffing import image_format, looks_binary, looks_like_html, looks_like_svg

FORMATS = {"jpg": "jpeg", "png": "png", "gif": "gif", "webp": "webp", "avif": "avif", "tiff": "tiff", "bmp": "bmp"}


def test_formats_of_real_files() -> None:
    for name, data in hostile_images.images().items():
        suffix = name.rsplit(".")[-1]
        assert image_format(data) == FORMATS.get(suffix, suffix), name
        assert not looks_like_html(data)
        assert not looks_like_svg(data)


@pytest.mark.parametrize(
    "data", [b"", b"BM", b"BMW is a car maker in Munich", b"GIF", b"II*", b"\0\0\1\0", b"RIFFxxxxWAVE"]
)
def test_what_is_no_image(data: bytes) -> None:
    assert image_format(data) is None


@pytest.mark.parametrize(
    ("data", "is_html", "is_svg"),
    [
        (b"\xef\xbb\xbf \n<!DOCTYPE html>", True, False),
        (b"<?xml version='1.0'?><!-- svg --><html xmlns=''>", True, False),
        (b"<!-- html --><?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'a' 'b' [<!ENTITY x 'y'>]>\n<svg>", False, True),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", False, True),
        (b"<htmlx>", False, False),
        (b"text about <html> and <svg>", False, False),
    ],
)
def test_markup(data: bytes, is_html: bool, is_svg: bool) -> None:
    assert (looks_like_html(data), looks_like_svg(data)) == (is_html, is_svg)


def test_binary_files_are_no_pages() -> None:
    assert looks_binary(b"%PDF-1.7")
    assert looks_binary(b"\0\0\0\x20ftypmp42")
    assert not looks_binary(b"<html>\0")


def test_hostile_markup_is_quick() -> None:
    start = time.process_time()
    for data in (b"<!-- -->" * 100_000, b"<!--" * 100_000, b"<?xml ?>" * 50_000 + b"x", b"<!doctype svg [" * 50_000):
        assert not looks_like_html(data)
        assert not looks_like_svg(data)
    assert time.process_time() - start < 0.5
