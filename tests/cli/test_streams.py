"""Readers that go away, streams that are closed, full disks under them: told where it matters, and no work is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.versions import version_numbers

COMMAND = [sys.executable, "-c", "from tuwen.cli import script; script()"]


def run(words: list[str], **streams: Any) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run([*COMMAND, *words], env={**plain, "PYTHONPATH": ":".join(sys.path)}, text=True, **streams)


@pytest.fixture
def unread() -> Any:
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A small build."""
    (tmp_path / "list.tsv").write_text("url\ttext\nhttp://a.test/1.png\ta red house\n")
    (tmp_path / "recipe.yaml").write_text(
        f"{{sources: [{{url_list: {{paths: ['{tmp_path}/list.tsv']}}}}], stages: [text.properties]}}"
    )
    return ["build", str(tmp_path / "recipe.yaml"), "--corpus", str(tmp_path / "corpus"), "--workers", "1"]


def test_a_build_outlives_who_reads_its_output(words: list[str], tmp_path: Path, unread: int) -> None:
    """`tuwen build … 2>&1 | head -1` comes to the same as without: its exit code says so."""
    assert run(words, stdout=unread, stderr=unread).returncode == 0
    assert version_numbers(tmp_path / "corpus") == [1]
    assert Corpus.open(tmp_path / "corpus").table("pairs")["num_characters"].to_pylist() == [11]


def test_streams_that_were_closed(tmp_path: Path) -> None:
    """Whatever is opened next must not get what is printed."""
    code = (
        "import os, sys; os.closerange(0, 3); sys.stdout = sys.stderr = None\n"
        "from tuwen.cli.streams import make_patient\nmake_patient()\n"
        f"held = open({str(tmp_path / 'held')!r}, 'w')\n"
        "print('to nobody', flush=True); print('to nobody', file=sys.stderr, flush=True)\n"
        "held.write(str(held.fileno()))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert int((tmp_path / "held").read_text()) > 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_the_results_is_told(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = run([*words, "--dry-run"], stdout=full, stderr=subprocess.PIPE)
        assert told.returncode == 1 and told.stderr.startswith("tuwen: the disk is full")
        asked = run(["--help"], stdout=full, stderr=subprocess.PIPE)
        assert asked.returncode == 0 and not asked.stderr


def test_a_working_folder_that_is_gone(words: list[str], tmp_path: Path) -> None:
    """DuckDB ends the process where the system does not know the working folder."""
    (tmp_path / "gone").mkdir()
    done = run(words, cwd=tmp_path / "gone", preexec_fn=(tmp_path / "gone").rmdir, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "working folder is gone" in done.stderr
