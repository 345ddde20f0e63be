"""What is neither file nor folder is told where a file is meant: nothing waits for a FIFO, or reads a device."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tuwen.cli import main
from tuwen.corpus.corpus import LOCK, Corpus
from tuwen.engine.build import IN_HAND
from tuwen.engine.local import Workers
from tuwen.engine.unfinished import FINISHED, commit_finished
from tuwen.errors import UsageError
from tuwen.files import is_special, regular
from tuwen.selections.held import held_ledger
from tuwen.sources.warc import Warc
from tuwen.sources.webdataset import Webdataset


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Waiting fails after a moment."""

    def give_up(*_: Any) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def test_what_reading_comes_to_an_end_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("file", "link", "absent"):
        assert regular(tmp_path / name) == tmp_path / name and not is_special(tmp_path / name)
    assert not is_special(tmp_path)
    for path in (fifo(tmp_path / "fifo"), tmp_path / "zero"):
        assert is_special(path)
        with pytest.raises(OSError, match="it is no regular file"):
            regular(path)
    assert is_special(tmp_path / "nowhere") and is_special(tmp_path / "circle")


@pytest.mark.parametrize("words", [["build", "--corpus", "c"], ["prove"], ["train"]], ids=lambda words: words[0])
@pytest.mark.parametrize("name", ["fifo.yaml", "zero.yaml"])
def test_recipes_and_claims(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    assert main([words[0], name, *words[1:]]) == 2
    assert "it is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("source", [Warc, Webdataset], ids=lambda source: source.__name__)
def test_sources_pass_over_nothing_that_they_name(source: Any, tmp_path: Path) -> None:
    """A link that leads nowhere among a hundred shards is a shard that is missing."""
    suffix = "tar" if source is Webdataset else "warc"
    (tmp_path / f"a.{suffix}").write_bytes(b"some")
    assert len(source([str(tmp_path)]).units()) == 1
    (tmp_path / f"b.{suffix}").symlink_to("gone")
    for path in (tmp_path, tmp_path / f"b.{suffix}", tmp_path / f"*.{suffix}"):
        with pytest.raises(UsageError, match="is a link that leads nowhere"):
            source([str(path)]).units()
    (tmp_path / f"b.{suffix}").unlink()
    fifo(tmp_path / f"b.{suffix}")
    with pytest.raises(UsageError, match="is no regular file"):
        source([str(tmp_path)]).units()


def test_small_files_of_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    fifo(corpus.path / FINISHED)
    with pytest.raises(OSError, match="it is no regular file"):
        commit_finished(corpus)
    fifo(corpus.path / IN_HAND)
    with pytest.raises(OSError, match="it is no regular file"):
        list(Workers(1, corpus.path / IN_HAND).unordered(len, []))
    for name in ("one.json", "two.parquet"):
        ledger = corpus.folder("ledgers") / name
        ledger.with_suffix(".json").write_text("{}")
        ledger.unlink(missing_ok=True)
        fifo(ledger)
        assert held_ledger(ledger.with_suffix(".parquet")) is None
    fifo(corpus.path / "recipe.json")
    assert main(["status", str(corpus.path)]) == 1 and "it is no regular file" in capsys.readouterr().err
    (corpus.path / LOCK).unlink(missing_ok=True)
    fifo(corpus.path / LOCK)
    with pytest.raises(OSError, match="it is no regular file"), corpus.writing():
        pass
