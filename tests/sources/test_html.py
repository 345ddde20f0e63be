import os
from pathlib import Path
from typing import Any

import pytest
from hostile_images import images

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.sources import Report
from tuwen.sources import html as module
from tuwen.sources.html import DEFAULT_BASE_URL, Html


def read(source: Html, report: Report | None = None) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {"fetches": [], "images": [], "documents": [], "pairs": []}
    for unit in source.units():
        for table, batch in source.read(unit, report or Report()):
            rows[table] += batch.to_pylist()
    return rows


def test_pages_and_images_of_a_folder(hostile_folder: Path) -> None:
    report = Report()
    rows = read(Html(str(hostile_folder)), report)
    fetches = {row["url"].removeprefix(DEFAULT_BASE_URL): row for row in rows["fetches"]}
    errors = {path: row["error"] for path, row in fetches.items() if row["error"]}
    assert errors == {"img/fake.png": "not_an_image", "img/empty.gif": "empty_body", "img/logo.svg": "vector_image"}
    pages = ["deep/er/page.HTM", "index.html", "strict.xhtml"]
    assert [row["url"].removeprefix(DEFAULT_BASE_URL) for row in rows["documents"]] == pages
    pictures = images()
    expected = {
        "img/photo.jpg": "photo.jpg",
        "img/copy.jpg": "photo.jpg",
        "img/link.jpg": "photo.jpg",
        "img/a%20b.png": "icon.png",
        "img/%E5%9B%BE.png": "gray.png",
        "img/no-suffix": "palette.gif",
    }
    found = {path: row["image_id"] for path, row in fetches.items() if row["image_id"]}
    assert found == {path: digest(pictures[name]) for path, name in expected.items()}
    assert len(rows["images"]) == 4
    # style.css and the four above are counted; hidden files, links out of the folder and broken links are not.
    assert (report.num_records, report.num_bad_records, report.error) == (13, 0, None)
    assert {row["captured_at"] for row in rows["fetches"] + rows["documents"]} == {None}


def test_links_from_pages_lead_to_the_images(hostile_folder: Path) -> None:
    rows = read(Html(str(hostile_folder), base_url="https://docs.example.org/v2"))
    known = {row["url"]: row["image_id"] for row in rows["fetches"]}
    assert rows["pairs"]
    assert all(known[row["image_ref"]] for row in rows["pairs"])
    assert all(url.startswith("https://docs.example.org/v2/") for url in known)


def test_units_hold_a_thousand_files_and_follow_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}.html").write_text(f"<p>page {number}")
    monkeypatch.setattr(module, "_FILES_PER_UNIT", 10)
    source = Html(str(tmp_path))
    units = source.units()
    assert [len(unit.payload) for unit in units if isinstance(unit.payload, tuple)] == [10, 10, 5]
    assert len(read(source)["documents"]) == 25
    (tmp_path / "24.html").touch()
    assert [unit.name for unit in source.units()] == [unit.name for unit in units]
    (tmp_path / "24.html").write_text("<p>Page 24")
    assert [a.name == b.name for a, b in zip(source.units(), units, strict=True)] == [True, True, False]
    copy = tmp_path / "copy"
    copy.mkdir()
    for number in range(25):
        (tmp_path / f"{number:02}.html").rename(copy / f"{number:02}.html")
    assert [unit.name for unit in Html(str(copy)).units()][:2] == [unit.name for unit in units][:2]


def test_files_that_vanish_are_reported(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_text("<p>page")
    source, report = Html(str(tmp_path)), Report()
    (unit,) = source.units()
    (tmp_path / "a.html").unlink()
    rows = [row for table, batch in source.read(unit, report) if table == "documents" for row in batch.to_pylist()]
    assert [row["url"] for row in rows] == [DEFAULT_BASE_URL + "b.html"]
    assert (report.num_bad_records, report.error) == (1, "damaged")
    assert report.messages[0].startswith("a.html: No such file")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.html", "wb") as stream:  # noqa: PTH123 (a Path takes no bytes)
        stream.write(b"<p>page")
    source = Html(str(tmp_path))
    assert [row["url"] for row in read(source)["documents"]] == [DEFAULT_BASE_URL + "caf%E9.html"]
    assert source.units()[0].name.startswith("folder:")


def test_limits(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<p>" + b"x" * 100)
    assert [row["error"] for row in read(Html(str(tmp_path), max_page_bytes=50))["fetches"]] == ["too_large"]


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Html(str(tmp_path / "missing")).units()
    (tmp_path / "style.css").write_text("p{}")
    with pytest.raises(UsageError, match=r"holds no \.html"):
        Html(str(tmp_path)).units()


@pytest.mark.parametrize("base_url", ["docs/", "file:///etc/", "http://", ""])
def test_base_urls_must_be_absolute(base_url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        load("tuwen.sources", "html", {"folder": ".", "base_url": base_url})
