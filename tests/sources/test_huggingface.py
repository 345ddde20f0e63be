"""Data sets that `datasets` saved, or that it streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hostile_images
import pytest

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.parts import load
from tuwen.sources import Report
from tuwen.sources.huggingface import Huggingface

datasets = pytest.importorskip("datasets")


def read(source: Huggingface) -> tuple[dict[str, list[dict[str, Any]]], list[Report]]:
    reports = []
    rows: dict[str, list[dict[str, Any]]] = {"images": [], "pairs": []}
    for unit in source.units():
        reports.append(Report())
        for table, batch in source.read(unit, reports[-1]):
            rows[table] += batch.to_pylist()
    return rows, reports


@pytest.fixture(scope="module")
def dataset() -> Any:
    columns = {
        "picture": [{"bytes": hostile_images.jpeg(seed), "path": None} for seed in range(6)],
        "caption": [f"text {seed}" for seed in range(6)],
        "score": [seed / 10 for seed in range(6)],
    }
    return datasets.Dataset.from_dict(columns).cast_column("picture", datasets.Image())


def check(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert [row["bytes"] for row in rows["images"]] == [hostile_images.jpeg(seed) for seed in range(6)]
    for seed, row in enumerate(rows["pairs"]):
        assert row["image_ref"] == "data:sha256," + digest(hostile_images.jpeg(seed))
        assert (row["text"], json.loads(row["given"])) == (f"text {seed}", {"score": seed / 10})


def test_a_saved_data_set(dataset: Any, tmp_path: Path) -> None:
    dataset.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    rows, reports = read(Huggingface(str(tmp_path / "saved")))
    check(rows)
    assert reports == [Report(num_records=3), Report(num_records=3)]


def test_splits(dataset: Any, tmp_path: Path) -> None:
    datasets.DatasetDict({"train": dataset, "test": dataset.select([0])}).save_to_disk(str(tmp_path / "saved"))
    check(read(Huggingface(str(tmp_path / "saved"), split="train"))[0])
    with pytest.raises(UsageError, match=r"give `split`. There: test, train"):
        Huggingface(str(tmp_path / "saved")).units()
    with pytest.raises(UsageError, match="no split 'dev'"):
        Huggingface(str(tmp_path / "saved"), split="dev").units()


def test_a_folder_of_parquet(dataset: Any, tmp_path: Path) -> None:
    dataset.to_parquet(str(tmp_path / "part.parquet"))
    check(read(Huggingface(str(tmp_path)))[0])


def test_streamed_as_from_the_hub(dataset: Any, tmp_path: Path) -> None:
    """`datasets` takes a folder for an id, so that all but the network is as it will be."""
    for part in range(2):
        dataset.select(range(part * 3, part * 3 + 3)).to_parquet(str(tmp_path / f"train-{part}.parquet"))
    source = Huggingface(name=str(tmp_path), revision="0" * 40)
    units = source.units()
    assert [unit.name.rpartition(":")[2] for unit in units] == ["0-of-2", "1-of-2"]
    check(read(source)[0])


def test_without_a_network_the_next_step_is_told() -> None:
    code = (
        "from tuwen.sources.huggingface import Huggingface\n"
        "try: Huggingface(name='nobody/nothing').units()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("UsageError huggingface: cannot read 'nobody/nothing'")
    assert "save_to_disk" in done.stdout


def test_without_the_extra_the_command_is_told() -> None:
    code = (
        "import sys\n"
        "sys.modules['datasets'] = None\n"
        "sys.modules['huggingface_hub'] = None\n"
        "from tuwen.sources.huggingface import Huggingface\n"
        "try: Huggingface(name='a/b').units()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "TuwenError datasets is not installed; run: pip install 'tuwen[huggingface]'\n"


def test_a_wrong_configuration_is_told(tmp_path: Path) -> None:
    for parameters in ({}, {"path": "a", "name": "b"}):
        with pytest.raises(UsageError, match="either path"):
            load("tuwen.sources", "huggingface", parameters)
    with pytest.raises(UsageError, match="is no folder"):
        Huggingface(str(tmp_path / "x")).units()
    with pytest.raises(UsageError, match=r"holds no \.arrow"):
        Huggingface(str(tmp_path)).units()


def test_a_split_stays_in_its_folder(dataset: Any, tmp_path: Path) -> None:
    dataset.save_to_disk(tmp_path / "other")
    (tmp_path / "saved" / "train").mkdir(parents=True)
    for split in ("../other", "..", ".", str(tmp_path / "other"), "train/../../other"):
        with pytest.raises(UsageError, match="has no split"):
            Huggingface(str(tmp_path / "saved"), split=split).units()


def test_a_damaged_file_is_a_bad_record(dataset: Any, tmp_path: Path) -> None:
    dataset.save_to_disk(tmp_path / "saved")
    (path,) = (tmp_path / "saved").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:500])
    _, (report,) = read(Huggingface(str(tmp_path / "saved")))
    assert report.error and report.num_bad_records == 1
