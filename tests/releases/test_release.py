"""Cutting a release: same bytes every time, all or nothing, and nothing that was taken down."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.manifest import read_manifest
from tuwen.releases.release import MARKER, release, write_release
from tuwen.releases.verify import verify
from tuwen.selections.selection import Selection

CONFTEST = Path(__file__).with_name("conftest.py")


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_bytes_whatever_the_order_zone_seed_and_place(tmp_path):
    """Two processes build the corpus from the same rows, in opposite order, elsewhere, and cut every format."""
    runs = []
    for name, order, zone, seed in (
        ("a", "forward", "UTC", "0"),
        ("b/deeper/down", "reverse", "Asia/Kathmandu", "4321"),
    ):
        folder = tmp_path / name
        (folder / "cwd").mkdir(parents=True)
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LANG": "C", "USER": name[0]}
        environment["PYTHONPATH"] = str(CONFTEST.parents[2])
        command = [sys.executable, str(CONFTEST), str(folder), str(folder / "out"), order]
        subprocess.run(command, env=environment, cwd=folder / "cwd", check=True)
        runs.append(digests(folder / "out"))
    assert runs[0] == runs[1]
    assert len([name for name in runs[0] if name.endswith("manifest.json")]) == 4


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_bytes_that_are_not_those_of_their_id_are_not_released(world, tmp_path, monkeypatch, form):
    whole = Corpus.images
    monkeypatch.setattr(Corpus, "images", lambda self, ids: [data and data[:-1] + b"?" for data in whole(self, ids)])
    with pytest.raises(TuwenError, match=r"the bytes of image [0-9a-f]{32} are damaged.*tuwen status --deep"):
        write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", form)
    assert not (tmp_path / "out").exists()


def test_nothing_names_a_place_or_a_person(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet")
    places = [str(world.corpus.path), str(tmp_path), os.environ.get("HOME", "/root") + "/", "in.warc"]
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [place for place in places if place.encode() in data], path


def test_rows_that_were_taken_down_are_left_out(make_world, tmp_path):
    world = make_world(tmp_path)
    images = [row["image_id"] for row in world.rows["images"]]
    gone = [
        ("image", images[0]),
        ("url", "https://host.example/1"),
        ("domain", "host2.example"),
        ("domain", "ost1.example"),
    ]
    at = datetime(2026, 2, 1, tzinfo=UTC)
    rows = [{"kind": kind, "value": value, "reason": "asked", "at": at} for kind, value in gone]
    append_rows(world.corpus, "tombstones", [pa.RecordBatch.from_pylist(rows, schema=TABLES["tombstones"].schema)])
    manifest = write_release(world.corpus, world.ledgers["pair"], tmp_path / "pairs", "parquet")
    assert verify(tmp_path / "pairs") == []
    released = pq.read_table(tmp_path / "pairs/data").to_pylist()
    assert not {row["image_id"] for row in released} & set(images[:2])
    hosts = {row["document_url"].split("/")[2] for row in released}
    assert hosts == {"host0.example", "host1.example"}
    assert manifest.counts["left_out"]["taken down"] + len(released) <= manifest.counts["kept"]
    write_release(world.corpus, world.ledgers["document"], tmp_path / "documents", "documents")
    assert verify(tmp_path / "documents") == []
    assert not set(pq.read_table(tmp_path / "documents/images")["image_id"].to_pylist()) & set(images[:2])


def test_a_failed_release_leaves_nothing(world, tmp_path):
    class Broken:
        """A corpus whose images are gone."""

        def __init__(self, corpus):
            self._corpus = corpus

        def __getattr__(self, name):
            return getattr(self._corpus, name)

        def images(self, ids):
            return [None for _ in ids]

    with pytest.raises(TuwenError, match="no bytes for image"):
        write_release(Broken(world.corpus), world.ledgers["pair"], tmp_path / "out", "webdataset")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_release_is_cleaned_up_by_the_next_and_nothing_else(world, tmp_path):
    for name, marker in ((".out.killed1", b"out"), (".out.v2.other", b"out.v2"), (".out.running", b"out")):
        (tmp_path / name / "new/data").mkdir(parents=True)
        (tmp_path / name / "new/data/00007.tar").write_bytes(b"half")
        (tmp_path / name / MARKER).write_bytes(marker)
    mine = ["out.partial", "out.replaced", ".out.backup"]  # no marker: the user's
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years of work")
    with (tmp_path / ".out.running" / MARKER).open("rb") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index")
        write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "webdataset", overwrite=True)
    assert verify(tmp_path / "out") == []
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["out", ".out.running", ".out.v2.other", *mine])
    assert all((tmp_path / name / "thesis.txt").exists() for name in mine)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused(world, tmp_path, there):
    if there:
        (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match="out is a symbolic link"):
        write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index", overwrite=True)
    assert sorted(tmp_path.iterdir()) == before


def test_only_a_release_is_overwritten(world, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_release(world.corpus, world.ledgers["pair"], out, "index")  # an empty folder is fine
    with pytest.raises(UsageError, match="not empty"):
        write_release(world.corpus, world.ledgers["pair"], out, "webdataset")
    write_release(world.corpus, world.ledgers["pair"], out, "webdataset", overwrite=True)
    assert read_manifest(out).writer["name"] == "webdataset"
    assert verify(out) == [] and [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "manifest.json").unlink()
    with pytest.raises(UsageError, match="is no release"):
        write_release(world.corpus, world.ledgers["pair"], out, "index", overwrite=True)
    assert (out / "README.md").exists()
    with pytest.raises(UsageError, match="is a file"):
        write_release(world.corpus, world.ledgers["pair"], out / "README.md", "index")


def test_a_selection_that_keeps_nothing_says_so(world, tmp_path):
    ledger = world.ledgers["pair"]
    table = pq.read_table(ledger.path)
    pq.write_table(table.filter(pa.compute.is_valid(table["step"])), tmp_path / "none.parquet")
    empty = type(ledger)(ledger.selection, tmp_path / "none.parquet", ledger.steps)
    with pytest.raises(UsageError, match="tuwen funnel"):
        write_release(world.corpus, empty, tmp_path / "out", "parquet")


def test_a_ledger_of_another_corpus_is_refused(world, tmp_path):
    ledger = world.ledgers["pair"]
    rows = pq.read_table(ledger.path).to_pylist()
    rows[0] |= {"id": "f" * 32, "step": None}
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(ledger.path)), tmp_path / "stale.parquet")
    with pytest.raises(TuwenError, match="judge it again"):
        write_release(world.corpus, type(ledger)(ledger.selection, tmp_path / "stale.parquet"), tmp_path / "out")


def test_a_ledger_that_is_replaced_meanwhile_changes_no_release(world, tmp_path):
    ledger = world.ledgers["pair"]
    path = tmp_path / "pairs.parquet"
    shutil.copy(ledger.path, path)
    opened = type(ledger)(ledger.selection, path, ledger.steps)
    rows = pq.read_table(path).to_pylist()
    others = [{**row, "step": 1 if row["step"] is None else None, "rule": "another"} for row in rows]
    pq.write_table(pa.Table.from_pylist(others, schema=pq.read_schema(path)), tmp_path / "new")
    (tmp_path / "new").replace(path)
    write_release(world.corpus, opened, tmp_path / "out", "index")
    path.unlink()
    write_release(world.corpus, opened, tmp_path / "later", "index")
    write_release(world.corpus, ledger, tmp_path / "undisturbed", "index")
    seals = {read_manifest(tmp_path / name).seal for name in ("out", "later", "undisturbed")}
    assert len(seals) == 1


def test_a_corpus_whose_name_is_a_pattern_is_released_like_any_other(world, tmp_path):
    for name in ("a?b", "acb", "id=plain"):
        shutil.copytree(world.corpus.path, tmp_path / name)
    selection = Selection.from_mapping("figures", {"unit": "image", "steps": [{"rule": "width > 20"}]})
    everything = Selection("figures", "image")
    release(Corpus.open(tmp_path / "acb"), everything, tmp_path / "all", "index")
    for name in ("a?b", "id=plain"):
        release(Corpus.open(tmp_path / name), selection, tmp_path / f"of {name}", "index")
    seals = [read_manifest(tmp_path / f"of {name}").seal for name in ("a?b", "id=plain")]
    assert len(set(seals)) == 1 and read_manifest(tmp_path / "all").seal not in seals


def test_the_recipe_names_stages_and_units_but_no_counts_that_depend_on_order(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index")
    recipe = json.loads((tmp_path / "out/recipe.json").read_text())
    assert recipe["columns"]["images"]["width"] == "image.properties"
    assert [unit["source_unit"] for unit in recipe["units"]] == ["unit-0", "unit-1"]
    assert "num_images" not in recipe["units"][0] and "location" not in recipe["units"][0]


def test_a_sample_of_a_webdataset_is_an_image_with_all_its_texts(world, tmp_path):
    manifest = write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "webdataset")
    counts = manifest.counts
    assert counts["samples"] == counts["images"] == manifest.files["data/00000.tar"].num_samples < counts["texts"]
    assert counts["kept"] == counts["texts"] + counts["left_out"]["not decodable"]
    card = (tmp_path / "out/README.md").read_text()
    assert f": {counts['samples']} samples, {counts['images']} images, {counts['texts']} texts, " in card


@pytest.mark.parametrize(
    ("table", "column", "unit", "format", "name"),
    [
        ("documents", "texts", "document", "documents", "texts"),
        ("documents", "Title", "document", "documents", "title"),
        ("documents", "kept_images", "document", "documents", "kept_images"),
        ("images", "noai", "pair", "webdataset", "image_noai"),
        ("images", "noai", "pair", "index", "image_noai"),
        ("pairs", "image", "pair", "parquet", "image"),
    ],
)
def test_columns_that_collide_are_refused(make_world, add_columns, tmp_path, table, column, unit, format, name):
    world = make_world(tmp_path)
    key = {"documents": "document_id", "images": "image_id", "pairs": "pair_id"}[table]
    schema = pa.schema([(column, pa.string())])
    add_columns(world.corpus, table, "stage.of_mine", [key], lambda row: {column: "x"}, schema)
    with pytest.raises(UsageError, match=f"two columns named '{name}'"):
        write_release(world.corpus, world.ledgers[unit], tmp_path / "out", format)
    assert not (tmp_path / "out").exists()


def test_totals_add_up(world, tmp_path):
    manifest = write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet")
    rows = pq.read_table(tmp_path / "out/data").to_pylist()
    assert manifest.counts["samples"] == manifest.counts["texts"] == len(rows)
    assert manifest.counts["images"] == len({row["image_id"] for row in rows})
    assert manifest.counts["documents"] == len({row["document_id"] for row in rows})
    assert (
        manifest.counts["kept"] == len(world.kept("pair")) == len(rows) + manifest.counts["left_out"]["not decodable"]
    )
