"""report.html: whole, harmless, the same every time, and its figures are those of the release."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from tuwen.releases.content import open_content
from tuwen.releases.distributions import Clusters, distributions, thinned
from tuwen.releases.manifest import read_manifest
from tuwen.releases.measure import measure
from tuwen.releases.page import el, page, plain_text, web
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify

FORMATS = {"pair": "parquet", "image": "parquet", "document": "documents"}
HOSTILE_CONCEPTS = [
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe\u202c",
    "\x00\x1b[2J\ud83d".encode("utf-8", "replace").decode(),
    "猫" * 5_000,
    "ขนม",
    "قطة",
    "e" + "\u0301" * 3_000,
    "می\u200cخواهم",
    "",
]
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags, attributes and text; raises where elements are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self._open and self._open[-1] != "style" else ""


def read(folder: Path) -> Page:
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = Page(text)
    assert not {"script", "img", "iframe", "link", "object", "embed", "a", "form"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("href", "src", "style")]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "url(" not in style and "@import" not in style
    assert [c for c in text if not c.isprintable() and c not in "\n\u200c\u200d"] == []
    return found


def add_evidence(world, add_columns) -> None:
    """Columns as later stages write them: clusters, concepts, overlap with evaluation sets."""

    def of_pair(row):
        number = int(row["pair_id"][:6], 16)
        return {
            "concepts": [HOSTILE_CONCEPTS[number % len(HOSTILE_CONCEPTS)], "cat", "cat"],
            "text_cluster": row["pair_id"] if number % 2 else "0" * 32,
            "text_cluster_size": 1 if number % 2 else 40,
            "evaluation_text": ["flickr"] if number % 5 == 0 else [],
        }

    schema = pa.schema(
        [
            ("concepts", pa.list_(pa.string())),
            ("text_cluster", pa.string()),
            ("text_cluster_size", pa.int32()),
            ("evaluation_text", pa.list_(pa.string())),
        ]
    )
    add_columns(world.corpus, "pairs", "concepts.match", ["pair_id"], of_pair, schema)
    for table, key, name in (("images", "image_id", "image"), ("documents", "document_id", "document")):
        columns = [
            (f"{name}_cluster", pa.string()),
            (f"{name}_cluster_size", pa.int32()),
            (f"evaluation_{name}", pa.bool_()),
        ]
        values = {f"{name}_cluster": "f" * 32, f"{name}_cluster_size": 3, f"evaluation_{name}": True}
        add_columns(world.corpus, table, f"dedup.{name}s", [key], lambda row, v=values: v, pa.schema(columns))


@pytest.fixture(scope="module")
def rich(make_world, add_columns, tmp_path_factory):
    world = make_world(tmp_path_factory.mktemp("rich"))
    add_evidence(world, add_columns)
    return world


@pytest.mark.parametrize("unit", ["pair", "image", "document"])
def test_every_release_has_one_and_its_manifest_vouches_for_it(world, tmp_path, unit):
    manifest = write_release(world.corpus, world.ledgers[unit], tmp_path / "out", FORMATS[unit])
    assert "report.html" in manifest.files and verify(tmp_path / "out") == []
    found = read(tmp_path / "out")
    for step in world.ledgers[unit].funnel():
        assert f"{step.name}" in found.text and f"{step.judged:,}" in found.text
    assert f"{manifest.counts['samples']:,}" in found.text
    assert "Concepts" not in found.text and "Near-duplicates" not in found.text  # nothing was computed
    (tmp_path / "out/report.html").write_bytes(b"<!doctype html>")
    assert {problem.file for problem in verify(tmp_path / "out")} == {"report.html"}


@pytest.mark.parametrize("unit", ["pair", "image", "document"])
def test_what_the_web_wrote_shows_itself_and_does_nothing(rich, tmp_path, unit):
    write_release(rich.corpus, rich.ledgers[unit], tmp_path / "out", FORMATS[unit])
    found = read(tmp_path / "out")
    assert HOSTILE_CONCEPTS[0] in found.text and "قطة" in found.text and "می\u200cخواهم" in found.text
    assert "猫" * 119 + "…" in found.text and "猫" * 120 not in found.text
    assert "a `strange` <licence>" in found.text
    assert (tmp_path / "out/report.html").stat().st_size < 100_000


def test_same_bytes(rich, make_world, add_columns, tmp_path):
    other = make_world(tmp_path / "other", reverse=True)
    add_evidence(other, add_columns)
    for name, world in (("a", rich), ("b", other)):
        write_release(world.corpus, world.ledgers["pair"], tmp_path / name, "parquet")
    assert (tmp_path / "a/report.html").read_bytes() == (tmp_path / "b/report.html").read_bytes()


def distributed(world, unit: str):
    with open_content(world.corpus, world.ledgers[unit], None) as content:
        if unit == "document":
            list(content.document_rows(["main"]))
        measure(content, "row", 1)
        return distributions(content), {row[0] for row in content.query("SELECT * FROM released")}


def test_distributions_are_those_of_the_rows(rich):
    found, _ = distributed(rich, "pair")
    undecodable = {rich.rows["images"][-1]["image_id"]}
    columns = ["pair_id", "text", "image_id", "concepts", "text_cluster", "text_cluster_size", "evaluation_text"]
    every = rich.corpus.table("pairs", columns).to_pylist()
    released = [row for row in every if row["pair_id"] in rich.kept("pair") and row["image_id"] not in undecodable]
    octaves: dict[int, int] = {}
    for row in released:
        octave = len(row["text"]).bit_length() - 1
        octaves[octave] = octaves.get(octave, 0) + 1
    assert found.lengths == sorted(octaves.items()) and found.lengths_of == "texts"
    assert found.sources == [("web", len(released))]
    (texts,) = (each for each in found.clusters if each.column == "text_cluster")
    clusters = {row["text_cluster"] for row in released}
    sizes = {
        rows: [r["text_cluster_size"] for r in rows_of] for rows, rows_of in (("before", every), ("after", released))
    }
    expected = {side: [(0, sizes[side].count(1)), (5, sizes[side].count(40))] for side in sizes}
    assert texts == Clusters(
        "pairs", "text_cluster", expected["before"], expected["after"], len(released), len(clusters)
    )
    (overlap,) = (each for each in found.overlaps if each.column == "evaluation_text")
    assert (overlap.before, overlap.num_before) == (sum(map(bool, (r["evaluation_text"] for r in every))), len(every))
    assert (overlap.after, overlap.num_after) == (
        sum(map(bool, (r["evaluation_text"] for r in released))),
        len(released),
    )
    assert found.concepts is not None
    mentioned = {name for row in released for name in row["concepts"]}
    assert found.concepts.num_after == len(mentioned)
    assert found.concepts.top[0] == ("cat", len(every), len(released))  # twice in a text counts once
    total = sum(len(set(row["concepts"])) for row in released)
    assert found.concepts.head_after[1] == total and found.concepts.tail_after == total - max(
        sum(name in row["concepts"] for row in released) for name in mentioned
    ) - (
        sorted(sum(name in row["concepts"] for row in released) for name in mentioned)[-2] if len(mentioned) > 10 else 0
    )


@pytest.mark.parametrize(("unit", "columns"), [
    ("pair", {"image_cluster", "text_cluster", "document_cluster"}),
    ("image", {"image_cluster"}),
    ("document", {"image_cluster", "document_cluster"}),
])  # fmt: skip
def test_only_what_is_released_is_measured(rich, unit, columns):
    found, released = distributed(rich, unit)
    assert {each.column for each in found.clusters} == columns and found.concepts is not None
    if unit == "image":
        assert [each.num_rows for each in found.clusters] == [len(released)]
        assert sum(count for _, _, count in found.image_sizes) == len(released)


@pytest.mark.parametrize("last", [0, 1, 2, 9, 10, 1_000, 500_000])
def test_ranks_are_thinned_evenly(last):
    ranks = list(thinned(last))
    assert ranks == sorted(set(ranks)) and len(ranks) < 80
    assert ranks[:1] == ([1] if last else []) and (not last or ranks[-1] == last)


def test_a_page_forbids_itself_everything():
    made = page("<b>\u202e", el("p", web("<i>&amp;"))).decode()
    assert "default-src 'none'" in html.unescape(made) and "<b>" not in made and "\u202e" not in made
    assert re.search(r'<bdi dir="auto">&lt;i&gt;&amp;amp;</bdi>', made)
    assert Page(made).text.endswith("<i>&amp;")


def test_steering_characters_become_spaces():
    assert plain_text("a\u202eb\u2066c\u0000d\u200dً") == "a b c d\u200dً"
    assert web("  \x00 ").tag == "i" and web("x" * 500).text == "x" * 119 + "…"


def test_the_demo_report_names_its_funnel(tmp_path, demo_crawl):
    import tuwen

    root = Path(__file__).parents[2]
    tuwen.build(root / "examples/docs-crawl.yaml", tmp_path / "corpus", workers=1)
    tuwen.release(tuwen.open(tmp_path / "corpus"), "strong", tmp_path / "out")
    found = read(tmp_path / "out")
    for words in ("written for the image", "figures: images, a selection that this one builds on", "Lengths of texts",
                  "1,326", "emoji.test", "greatest(width, height) <= 5 * least(width, height)"):  # fmt: skip
        assert words in found.text
    assert read_manifest(tmp_path / "out").files["report.html"].num_bytes < 60_000
