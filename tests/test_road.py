"""The whole road, as a user walks it: the same release bytes whatever the workers, history, order, zone and place."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from warc_records import split_crawl

import tuwen

RECIPE = Path(tuwen.__file__).parent / "demo" / "docs-crawl.yaml"
RELEASES = (("strong", "webdataset"), ("weak", "parquet"), ("interleaved", "documents"), ("strong", "index"))


def run(*words: object, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from tuwen.cli import main; sys.exit(main())", *map(str, words)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=check, encoding="utf-8"
    )


def build(folder: Path, paths: list[Path], workers: int, **environment: str) -> None:
    sources = f"sources=[{{warc: {{paths: {json.dumps([str(path) for path in paths])}}}}}]"
    run("build", RECIPE, "--corpus", folder / "corpus", "--set", sources, "--workers", workers, **environment)


def release_bytes(folder: Path, **environment: str) -> dict[str, str]:
    """Relative path → SHA-256 of every file of four releases."""
    found = {}
    for selection, form in RELEASES:
        out = folder / f"{selection}-{form}"
        run("release", folder / "corpus", "--selection", selection, "--to", out, "--format", form, **environment)
        for path in sorted(out.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def parts(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return split_crawl(demo_crawl, tmp_path_factory.mktemp("parts"), 12)


@pytest.fixture(scope="module")
def expected(parts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("one")
    build(folder, parts, workers=1)
    assert tuwen.open(folder / "corpus").dataset("pairs").get_fragments().__len__() >= 10
    return release_bytes(folder)


@pytest.mark.parametrize(("workers", "zone", "seed"), [(2, "Asia/Shanghai", "7"), (4, "America/New_York", "0")])
def test_workers_order_zone_and_hash_seed_change_no_byte(
    parts: list[Path], expected: dict[str, str], tmp_path: Path, workers: int, zone: str, seed: str
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    names = [f"{len(parts) - number:02d}.warc.gz" for number in range(len(parts))]  # another name, another order
    for path, name in zip(parts, names, strict=True):
        shutil.copy(path, moved / name)
    build(tmp_path, [moved], workers, TZ=zone, PYTHONHASHSEED=seed)
    assert release_bytes(tmp_path, TZ=zone, PYTHONHASHSEED=seed) == expected


def test_grown_in_two_steps_and_killed_between_equals_fresh(
    parts: list[Path], expected: dict[str, str], tmp_path: Path
) -> None:
    build(tmp_path, parts[6:], workers=1)
    sources = f"sources=[{{warc: {{paths: {json.dumps([str(path) for path in parts])}}}}}]"
    words = ["build", str(RECIPE), "--corpus", str(tmp_path / "corpus"), "--set", sources, "--workers", "2"]
    code = "import sys; from tuwen.cli import main; sys.exit(main(sys.argv[1:]))"
    for wait_s in (0.8, 1.6):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(wait_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    build(tmp_path, parts, workers=2)
    assert release_bytes(tmp_path) == expected


def test_the_funnel_adds_up_and_equals_the_ledger(parts: list[Path], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    build(tmp_path, parts, workers=1)
    funnels = json.loads(run("funnel", tmp_path / "corpus", "--json").stdout)
    assert set(funnels) == {"figures", "strong", "weak", "interleaved"}
    for name, funnel in funnels.items():
        left = funnel["num_rows"]
        for step in funnel["steps"]:
            assert step["judged"] == left and step["judged"] == step["lost"] + step["left"]
            left = step["left"]
        assert left == funnel["num_kept"]
        ledger = pq.read_table(tmp_path / "corpus" / "ledgers" / f"{name}.parquet")
        assert ledger.num_rows == funnel["num_rows"]
        assert ledger["step"].null_count == funnel["num_kept"]


def test_the_demo_works_from_anywhere(tmp_path: Path) -> None:
    code = "import sys; from tuwen.cli import main; sys.exit(main(['demo', '--workers', '1']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "demo" / "corpus" / "corpus.json").exists()
    assert {path.name for path in (tmp_path / "demo" / "releases").iterdir()} == {
        "strong",
        "weak",
        "interleaved",
        "strong-index",
    }
    lines = done.stdout.partition("Try next:")[2].splitlines()
    commands = [line.partition("#")[0] for line in lines if line.startswith("  ")]
    assert len(commands) == 6
    assert shlex.split(commands[0])[1:] == ["explore", "demo/corpus"]  # a server: it does not end
    for command in commands[1:5]:  # the last one wants the user's own crawl
        words = shlex.split(command)[1:]
        assert subprocess.run(
            [sys.executable, "-c", "import sys; from tuwen.cli import main; sys.exit(main(sys.argv[1:]))", *words],
            cwd=tmp_path, capture_output=True, text=True,
        ).returncode == 0, command  # fmt: skip


def test_a_hostile_crawl_goes_the_whole_road(hostile_warc: Any, hostile_folder: Path, tmp_path: Path) -> None:
    sources = [{"warc": {"paths": hostile_warc.paths}}, {"html": {"folder": str(hostile_folder)}}]
    words = ("build", RECIPE, "--corpus", tmp_path / "corpus", "--set", f"sources={json.dumps(sources)}")
    built = json.loads(run(*words, "--json").stdout)
    assert built["errors"] == {}  # stages know these images and texts: an error code of their own, not an exception
    assert any("hostile-3" in location for location, _ in built["ingested"]["damaged"])
    for selection, form in (("weak", "webdataset"), ("weak", "parquet"), ("interleaved", "documents")):
        out = tmp_path / f"{selection}-{form}"
        run("release", tmp_path / "corpus", "--selection", selection, "--to", out, "--format", form)
        assert json.loads(run("verify", out, "--json").stdout) == []
    run("export", tmp_path / "corpus", "--out", tmp_path / "out")
    run("import", tmp_path / "out", "--corpus", tmp_path / "again")
    funnels = [run("funnel", tmp_path / name, "--json").stdout for name in ("corpus", "again")]
    assert funnels[0] == funnels[1]
