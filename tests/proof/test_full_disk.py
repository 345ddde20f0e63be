"""Full disks and folders that cannot be written are told with the file, and no half one is believed later."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pair_shards
import pytest

from tuwen.cli.prove import write_verdict
from tuwen.corpus.corpus import write_json
from tuwen.errors import TuwenError
from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns
from tuwen.models.network import Architecture, ImageTower, Network, TextTower
from tuwen.proof import kept, training
from tuwen.proof.examples.webdataset import Webdataset
from tuwen.proof.record import write_record
from tuwen.proof.results import Result, read_result, write_result

RESULT = Result("one", 1, {"all": Items({"value": np.random.default_rng(1).random(9_000)})}, {}, [], 0.0, 1, "")
CLAIM: dict[str, Any] = {"claim": {"name": "one"}, "arms": [], "more": "x" * 90_000}


@contextmanager
def small_disk(num_bytes: int = 20_000) -> Iterator[None]:
    """No file may be larger, and a write beyond that fails instead of killing."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def _network(to: Path) -> None:
    made = Architecture(ImageTower(width=32), TextTower(width=32), dim=32, context=24)
    training._saved(Network(made, made.tokenizer(["a red circle"])), to)


@pytest.mark.parametrize(
    ("write", "told", "left"),
    [
        (lambda to: write_result(to / "result", RESULT), "result cannot be written", []),
        (lambda to: kept.write(Columns(n=np.zeros(9_000)), to / "worlds" / "one"), "worlds cannot be written", []),
        (lambda to: kept.write(Columns(text=["x" * 90_000]), to / "one"), "cannot be written", []),
        (lambda to: write_record(to / "one.yaml", CLAIM), r"one\.json cannot be written", []),
        (lambda to: write_verdict(to, CLAIM, b""), r"verdict\.json cannot be written", ["index.html"]),
        (lambda to: write_verdict(to, {}, b"x" * 90_000), r"index\.html cannot be written", []),
        (lambda to: training._append(to / "a.jsonl", [CLAIM]), r"a\.jsonl cannot be written", ["a.jsonl"]),
        (lambda to: training._write_lines(to / "a.jsonl", [CLAIM]), r"a\.jsonl cannot be written", []),
        (_network, "the model cannot be written to", None),
    ],
)
def test_a_full_disk_is_told(write: Callable[[Path], None], told: str, left: list[str] | None, tmp_path: Path) -> None:
    with small_disk(), pytest.raises(TuwenError, match=f"(?s){told}.*the disk may be full"):
        write(tmp_path)
    if left is not None:
        assert files_of(tmp_path) == left
    write(tmp_path)


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    small = {**CLAIM, "more": ""}
    path = write_record(tmp_path / "one.yaml", small)
    write_json(tmp_path / "a.json", small)
    with small_disk():
        with pytest.raises(TuwenError, match="the disk may be full"):
            write_record(tmp_path / "one.yaml", CLAIM)
        with pytest.raises(OSError, match="File too large"):
            write_json(tmp_path / "a.json", CLAIM)
    assert json.loads(path.read_text())["more"] == "" and json.loads((tmp_path / "a.json").read_text()) == small
    assert files_of(tmp_path) == ["a.json", "one.json"]


def test_half_a_result_is_none(tmp_path: Path) -> None:
    with small_disk(), pytest.raises(TuwenError, match="the disk may be full"):
        write_result(tmp_path / "result", RESULT)
    assert read_result(tmp_path / "result", ["all"]) is None
    write_result(tmp_path / "result", RESULT)
    assert read_result(tmp_path / "result", ["all"]) is not None


def test_an_index_that_did_not_fit_is_made_anew(tmp_path: Path) -> None:
    pair_shards.write_shards(tmp_path / "shards", 200)
    source, folder = Webdataset((str(tmp_path / "shards"),)), tmp_path / "index"
    with small_disk(4_000), pytest.raises(TuwenError, match=r"index.* cannot be written: .*the disk may be full"):
        source.load(folder, 32)
    assert source.load(folder, 32).num_rows == 200


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TuwenError, match="result cannot be written: Not a directory"):
        write_result(tmp_path / "file" / "result", RESULT)
    with pytest.raises(TuwenError, match="file cannot be written: File exists"):
        kept.write(Columns(n=np.zeros(3)), tmp_path / "file" / "one")
