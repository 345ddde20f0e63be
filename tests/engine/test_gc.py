"""Freed bytes are gone, all else is as it was, and whoever needs them is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.versions import version_numbers
from tuwen.engine.build import build, plan
from tuwen.engine.gc import free
from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.verify import verify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(demo_crawl: Path) -> Recipe:
    mapping = yaml.safe_load((ROOT / "examples/docs-crawl.yaml").read_text(encoding="utf-8"))
    mapping["sources"] = [{"warc": {"paths": [str(demo_crawl)]}}]
    return Recipe.from_mapping(mapping)


@pytest.fixture
def corpus(recipe: Recipe, tmp_path: Path) -> Corpus:
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    return Corpus.open(tmp_path / "corpus")


def narrow(corpus: Corpus) -> dict[str, list[dict[str, object]]]:
    return {table: corpus.table(table).to_pylist() for table in ("images", "pairs", "documents")}


def test_bytes_that_nobody_wants_are_gone_and_nothing_else(corpus: Corpus, recipe: Recipe, tmp_path: Path) -> None:
    ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    stored = dict(zip(ids, corpus.images(ids), strict=True))
    wanted = set(tuwen.judge(corpus, "figures").kept().read_all()["id"].to_pylist())
    tuwen.release(corpus, "strong", tmp_path / "before", "webdataset")
    before = narrow(corpus)
    done = free(corpus, ["figures"])
    corpus = Corpus.open(corpus.path)
    unwanted = [data for key, data in stored.items() if key not in wanted and data is not None]
    assert (done.num_images, done.num_bytes) == (len(unwanted), sum(map(len, unwanted))) and unwanted
    assert dict(zip(ids, corpus.images(ids), strict=True)) == {
        key: data if key in wanted else None for key, data in stored.items()
    }
    files = [path.read_bytes() for path in corpus.path.rglob("*") if path.is_file()]
    large = [data for data in unwanted if len(data) > 200]
    assert large and not [data for data in large if any(data[50:150] in file for file in files)]
    assert narrow(corpus) == before and version_numbers(corpus.path) == [done.version]
    assert plan(recipe, corpus.path).nothing_to_do
    tuwen.release(corpus, "strong", tmp_path / "after", "webdataset")
    assert {p.name: p.read_bytes() for p in (tmp_path / "before").rglob("*") if p.is_file()} == {
        p.name: p.read_bytes() for p in (tmp_path / "after").rglob("*") if p.is_file()
    }


def test_who_needs_freed_bytes_is_told(corpus: Corpus, tmp_path: Path) -> None:
    weak = tuwen.Selection.from_mapping("every", {"unit": "image", "steps": []})
    free(corpus, ["strong"])
    corpus = Corpus.open(corpus.path)
    with pytest.raises(TuwenError, match=r"no bytes for image .*tuwen gc"):
        tuwen.release(corpus, weak, tmp_path / "out", "webdataset")
    tuwen.release(corpus, weak, tmp_path / "index", "index")
    assert verify(tmp_path / "index") == []
    ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    lost = [key for key, data in zip(ids, corpus.images(ids), strict=True) if data is None]
    assert not tuwen.why(corpus, lost[0]).origin["has_bytes"]


def test_a_stage_that_comes_later_says_that_they_are_missing(corpus: Corpus, recipe: Recipe) -> None:
    free(corpus, ["strong"])
    dataset = corpus.dataset("images")
    written = [name for name, stage in corpus.columns("images").items() if stage == "image.properties"]
    dataset.drop_columns(written)
    build(recipe, corpus.path, workers=1, quiet=True)
    rows = Corpus.open(corpus.path).table("images", ["image_id", "decode_error"]).to_pylist()
    missing = {row["image_id"] for row in rows if row["decode_error"] == "missing"}
    ids = [row["image_id"] for row in rows]
    assert missing == {key for key, data in zip(ids, corpus.images(ids), strict=True) if data is None} != set()


def test_nothing_is_freed_while_a_stage_has_not_seen_it(corpus: Corpus) -> None:
    written = [name for name, stage in corpus.columns("images").items() if stage == "image.statistics"]
    corpus.dataset("images").drop_columns(written)
    with pytest.raises(TuwenError, match=r"image\.statistics is out of date"):
        free(corpus, ["strong"])


def test_a_killed_run_goes_on(corpus: Corpus) -> None:
    code = f"""
import os, signal
import tuwen.engine.gc as gc
gc.forget_versions = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
gc.free({str(corpus.path)!r}, ["strong"])
"""
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(version_numbers(corpus.path)) == 2
    done = free(corpus, ["strong"])
    assert done.num_images == 0 and done.num_without > 0
    assert version_numbers(corpus.path) == [done.version]
    assert free(corpus, ["strong"]).version is None


def test_images_come_in_with_later_units_and_stay(corpus: Corpus) -> None:
    """Bytes that were freed do not come back with a unit that shows the image again: the row is there."""
    from tuwen.corpus.units import SealedUnit, UnitAppender

    free(corpus, ["strong"])
    ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    lost = next(key for key, data in zip(ids, corpus.images(ids), strict=True) if data is None)
    unit = SealedUnit("s", "u", "here", "r", 1, 0, None, None)
    rows = pa.RecordBatch.from_pylist(
        [{"image_id": lost, "bytes": b"again"}], pa.schema([("image_id", pa.string()), ("bytes", pa.large_binary())])
    )
    with corpus.writing():
        assert UnitAppender(corpus).append(unit, {"images": lambda: iter([rows])})["images"] == 0


def test_the_command_asks_first(
    corpus: Corpus, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    assert main(["gc", str(corpus.path)]) == 2 and "--yes" in capsys.readouterr().err
    assert main(["gc", str(corpus.path), "--selection", "strnog"]) == 2
    assert "did you mean 'strong'" in capsys.readouterr().err
    assert main(["gc", str(corpus.path), "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert main(["gc", str(corpus.path), "--yes", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["num_images"] == planned["num_images"] > 0 and done["num_bytes"] == planned["num_bytes"]
    with pytest.raises(UsageError, match="no selection"):
        free(corpus, ["nothing"])
