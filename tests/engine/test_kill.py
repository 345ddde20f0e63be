"""kill -9 anywhere: the next run finishes, nothing is lost, nothing is there twice, finished work is not redone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killed_build import recipe_for
from tiny import write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.build import build, plan

SCRIPT = Path(__file__).parents[1] / "support" / "killed_build.py"


def make_pages(folder: Path) -> None:
    (folder / "pages").mkdir(parents=True)
    write_pages(folder / "pages", "a", range(0, 8))
    write_pages(folder / "pages", "b", range(5, 12))  # overlaps the first


def contents(corpus: Corpus) -> dict[str, list[object]]:
    """Every row of every table, order apart."""
    return {
        name: sorted(corpus.table(name, corpus.schema(name).names).to_pylist(), key=lambda row: str(row[table.key]))
        for name, table in TABLES.items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[object]], int]:
    folder = tmp_path_factory.mktemp("undisturbed")
    make_pages(folder)
    done = subprocess.run([sys.executable, SCRIPT, folder, "0"], capture_output=True, text=True, check=True)
    found = contents(Corpus.open(folder / "corpus"))
    for row in found["units"]:
        row["location"] = None  # type: ignore[index]
    return found, int(done.stdout)


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_every_step(undisturbed: tuple[dict[str, list[object]], int], tmp_path: Path, stride: int) -> None:
    """At each, or at every seventh: a run is a process. test_chaos.py kills at every kind of step by name."""
    expected, num_steps = undisturbed
    assert num_steps > 60
    folder = tmp_path / "killed"
    for step in range(1, num_steps + 1, stride):
        shutil.rmtree(folder, ignore_errors=True)
        make_pages(folder)
        killed = subprocess.run([sys.executable, SCRIPT, folder, str(step)], capture_output=True, text=True)
        assert killed.returncode == -9, f"step {step}: {killed.stderr}"
        build(recipe_for(folder), folder / "corpus", workers=1, quiet=True)
        found = contents(Corpus.open(folder / "corpus"))
        for row in found["units"]:
            row["location"] = None  # type: ignore[index]
        assert found == expected, f"killed at step {step} of {num_steps}"
        assert plan(recipe_for(folder), folder / "corpus").nothing_to_do


def test_committed_columns_are_not_computed_again(tmp_path: Path) -> None:
    make_pages(tmp_path)
    subprocess.run([sys.executable, SCRIPT, tmp_path, "0"], check=True, capture_output=True)
    corpus = Corpus.open(tmp_path / "corpus")
    before = corpus.version()
    assert build(recipe_for(tmp_path), tmp_path / "corpus", workers=1, quiet=True).did_nothing
    assert corpus.version() == before
