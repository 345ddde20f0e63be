"""Ids out, and back in: the same rows, in another corpus too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.engine.join import join
from tuwen.errors import UsageError
from tuwen.releases.manifest import read_manifest
from tuwen.releases.release import release, write_release
from tuwen.releases.verify import verify
from tuwen.releases.writers.ids import Ids
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import Selection, parse_selections

KEYS = {"pair": "pair_id", "image": "image_id", "document": "document_id"}
CHOSEN = {
    "pair": "text_source = 'caption' and image.decode_error is null",
    "image": "width >= 30 and decode_error is null",
    "document": "declared_language = 'en'",
}


def lists(folder: Path, kind: str) -> list[str]:
    """The ids of a release, as texts."""
    found: list[str] = []
    for path in sorted((folder / "data").iterdir()):
        if kind == "text":
            found += path.read_text().splitlines()
        elif kind == "parquet":
            found += pq.read_table(path).column(0).to_pylist()
        else:
            found += [f"{high:016x}{low:016x}" for high, low in np.load(path).tolist()]
    return found


def kept(ledger: Ledger) -> set[str]:
    return {key for batch in ledger.kept() for key in batch["id"].to_pylist()}


@pytest.fixture(scope="module")
def other_world(make_world, tmp_path_factory) -> Path:
    """The same rows, brought in another order."""
    return make_world(tmp_path_factory.mktemp("other"), reverse=True).corpus.path


@pytest.mark.parametrize("kind", ["text", "parquet", "npy"])
@pytest.mark.parametrize("unit", ["pair", "image", "document"])
def test_ids_go_out_and_come_back_into_another_corpus(world, other_world, unit, kind, tmp_path):
    selection = Selection.from_mapping("chosen", {"unit": unit, "steps": [{"rule": CHOSEN[unit]}]})
    release(world.corpus, selection, tmp_path / "ids", "ids", {"kind": kind, "samples_per_shard": 5})
    assert verify(tmp_path / "ids") == []
    expected = kept(Ledger.open_or_judge(world.corpus, selection))
    found = lists(tmp_path / "ids", kind)
    assert found == sorted(expected) and len(list((tmp_path / "ids" / "data").iterdir())) > 1
    shutil.copytree(other_world, tmp_path / "other")
    joined = join(tmp_path / "other", tmp_path / "ids" / "data", KEYS[unit], name="listed")
    assert joined.num_matched == joined.num_rows == joined.num_table_matched == len(expected)
    rule = parse_selections({"again": {"unit": unit, "steps": [{"rule": "listed"}]}})
    again = Ledger.open_or_judge(Corpus.open(tmp_path / "other"), "again", rule)
    assert kept(again) == expected
    release(Corpus.open(tmp_path / "other"), rule["again"], tmp_path / "again", "ids", {"kind": kind})
    assert lists(tmp_path / "again", kind) == found
    (told,) = json.loads((tmp_path / "again" / "recipe.json").read_text())["joins"]
    assert (told["name"], told["num_rows"]) == ("listed", len(expected)) and str(tmp_path) not in json.dumps(told)


def test_another_column_and_images_of_pairs_once(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "ids", "ids", {"column": "image_id", "kind": "npy"})
    assert verify(tmp_path / "ids") == []
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "rows", "index")
    images = set(pq.read_table(tmp_path / "rows" / "data")["image_id"].to_pylist())
    assert lists(tmp_path / "ids", "npy") == sorted(images)
    array = np.load(tmp_path / "ids" / "data" / "00000.npy")
    assert array.dtype == np.dtype("u8,u8") and np.array_equal(array, np.sort(array))
    assert read_manifest(tmp_path / "ids").counts["samples"] == len(images)


@pytest.mark.parametrize(
    ("unit", "parameters", "message"),
    [
        ("pair", {"column": "pair_di"}, "did you mean 'pair_id'"),
        ("pair", {"column": "language_confidence"}, "text or whole numbers"),
        ("pair", {"column": "image_url"}, "image_url is not null"),
        ("pair", {"column": "text"}, "not one line"),
        ("document", {"column": "url", "kind": "npy"}, "32 lower-case"),
        ("document", {"column": "declared_language"}, "tells them apart"),
        ("pair", {"kind": "json"}, "kind"),
        ("pair", {"samples_per_shard": 0}, "at least 1"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(world, unit, parameters, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        write_release(world.corpus, world.ledgers[unit], tmp_path / "out", "ids", parameters)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["text", "parquet", "npy"])
def test_the_check_finds_what_is_wrong_with_a_list(world, kind, tmp_path):
    write_release(world.corpus, world.ledgers["image"], tmp_path / "out", "ids", {"kind": kind})
    (path,) = (tmp_path / "out" / "data").iterdir()
    whole = path.read_bytes()
    writer = Ids(kind=kind)
    shards = {f"data/{path.name}": read_manifest(tmp_path / "out").counts["samples"]}
    assert list(writer.check(tmp_path / "out", shards)) == []
    assert [problem.what for problem in writer.check(tmp_path / "out", {f"data/{path.name}": 1})] == ["number of ids"]
    path.write_bytes(whole[:-9])
    assert any("cannot be read" in problem.what for problem in writer.check(tmp_path / "out", shards))
    if kind == "text":
        lines = whole.splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:-1], lines[0]]))
        found = [problem.what for problem in writer.check(tmp_path / "out", shards)]
        assert found == ["ids are out of order or repeated"]
