"""Breaking it: after each blow the next run comes to the same corpus and the same release as one that was left alone.

`pytest -m chaos` runs these alone. tests/engine/test_kill.py kills builds at steps that change the disk, by number;
here the steps have names, releases are killed too, and the disk, the clock and the files themselves fail.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import chaotic
import pyarrow as pa
import pytest
from chaotic import make_pages, recipe_for, take_down_and_patch
from deadly import Slow
from lance.file import LanceFileReader
from tiny import write_pages

from tuwen.cli import main as tuwen
from tuwen.corpus.columns import ColumnWriter, parse_name
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine import progress
from tuwen.engine.build import build, plan
from tuwen.engine.merge import merge
from tuwen.errors import TuwenError
from tuwen.releases.release import release
from tuwen.releases.verify import verify

pytestmark = pytest.mark.chaos
SCRIPT = Path(chaotic.__file__)


def contents(path: Path) -> dict[str, str]:
    corpus = Corpus.open(path)
    return {f"{table}.{name}": corpus.content(table, name) for table in TABLES for name in corpus.columns(table)}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def cut(folder: Path) -> dict[str, bytes]:
    """A release of the corpus in `folder`, verified."""
    release(Corpus.open(folder / "corpus"), "long", folder / "out", "webdataset", overwrite=True)
    assert verify(folder / "out") == []
    return files_of(folder / "out")


def check_whole(folder: Path, expected: tuple[dict[str, str], dict[str, bytes]]) -> None:
    """The next build finishes; corpus and release are those of the undisturbed run, and no later run has work left."""
    build(recipe_for(folder), folder / "corpus", quiet=True)
    assert contents(folder / "corpus") == expected[0]
    assert plan(recipe_for(folder), folder / "corpus").nothing_to_do
    assert cut(folder) == expected[1]
    left = {path.name for path in (folder / "corpus").iterdir()} & {"finished.jsonl", "in-hand", "unit-journal.json"}
    assert not left and not list((folder / "corpus").glob("*.lance/data/*.partial*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    make_pages(folder)
    build(recipe_for(folder), folder / "corpus", quiet=True)
    return contents(folder / "corpus"), cut(folder)


def run_script(folder: Path, what: str, *step: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, folder, what, *step], capture_output=True, text=True)


def chosen(names: list[str]) -> list[str]:
    """Of every kind of step: before it happens for the first time, and after the last."""
    first = {name.rsplit("-", 2)[0]: name for name in reversed(names) if name.endswith("before")}
    last = {name.rsplit("-", 2)[0]: name for name in names if name.endswith("after")}
    return [*first.values(), *last.values()]


def test_a_build_killed_at_every_kind_of_step(undisturbed: Any, tmp_path: Path) -> None:
    make_pages(tmp_path / "whole")
    steps = chosen(run_script(tmp_path / "whole", "build").stdout.splitlines())
    assert {step.partition("-")[0] for step in steps} >= {"commit", "seal", "tag", "note of a finished file"}
    for number, step in enumerate(steps):
        folder = tmp_path / str(number)
        make_pages(folder)
        assert run_script(folder, "build", step).returncode == -9, step
        try:
            check_whole(folder, undisturbed)
        except Exception as error:
            raise AssertionError(f"killed at {step}") from error
        shutil.rmtree(folder)


def test_what_was_finished_is_not_computed_again(tmp_path: Path) -> None:
    """Killed when all files of a pass are written and none is committed: the next build runs no stage of it."""
    make_pages(tmp_path)
    names = run_script(tmp_path, "build").stdout.splitlines()
    shutil.rmtree(tmp_path / "corpus")
    last = [name for name in names if name.startswith("note of a finished file") and name.endswith("after")][-1]
    assert run_script(tmp_path, "build", last).returncode == -9
    built = build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    assert built.stage_rows == {}


def test_a_release_killed_at_every_kind_of_step(undisturbed: Any, tmp_path: Path) -> None:
    """At the target lies the old release, the new one, or for a moment nothing; never half of one."""
    make_pages(tmp_path)
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    cut(tmp_path)
    for step in chosen(run_script(tmp_path, "release").stdout.splitlines()):
        assert run_script(tmp_path, "release", step).returncode == -9, step
        if (tmp_path / "out").exists():
            assert verify(tmp_path / "out") == [], step
        assert cut(tmp_path) == undisturbed[1], step
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out.")], step


def test_a_takedown_killed_at_every_kind_of_step(tmp_path: Path) -> None:
    """It is recorded or it is not; the patch is whole or not there; the same command again ends with both."""
    make_pages(tmp_path / "given")
    build(recipe_for(tmp_path / "given"), tmp_path / "given" / "corpus", quiet=True)
    cut(tmp_path / "given")
    shutil.copytree(tmp_path / "given", tmp_path / "whole")
    steps = chosen(run_script(tmp_path / "whole", "takedown").stdout.splitlines())
    assert {step.rsplit("-", 2)[0] for step in steps} >= {"stones", "version", "shard", "rename"}
    expected = files_of(tmp_path / "whole" / "patch")
    assert expected != files_of(tmp_path / "given" / "out")
    for number, step in enumerate(steps):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "given", folder)
        assert run_script(folder, "takedown", step).returncode == -9, step
        assert not (folder / "patch").exists() or verify(folder / "patch") == [], step
        take_down_and_patch(folder)
        assert files_of(folder / "patch") == expected, step
        assert Corpus.open(folder / "corpus").count("tombstones") == 1, step
        shutil.rmtree(folder)


def test_a_merge_killed_at_every_kind_of_step(tmp_path: Path) -> None:
    """The two stay as they are, and their merge is whole or not there."""
    for place, name in enumerate(("one", "two")):
        (tmp_path / name / "pages").mkdir(parents=True)
        write_pages(tmp_path / name / "pages", name, range(10 * place, 10 * place + 16))  # six pages are in both
        build(recipe_for(tmp_path / name), tmp_path / "given" / name, quiet=True)
    shutil.copytree(tmp_path / "given", tmp_path / "whole")
    steps = chosen(run_script(tmp_path / "whole", "merge").stdout.splitlines())
    assert {step.rsplit("-", 2)[0] for step in steps} >= {"copy", "replace_fragments", "append_rows", "rename"}
    expected = contents(tmp_path / "whole" / "merged")
    for number, step in enumerate(steps):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "given", folder)
        before = {name: contents(folder / name) for name in ("one", "two")}
        assert run_script(folder, "merge", step).returncode == -9, step
        assert {name: contents(folder / name) for name in ("one", "two")} == before, step
        if (folder / "merged").exists():
            assert step == "rename-1-after"
        else:
            merge(folder / "one", folder / "two", folder / "merged", allow_code=True)
        assert contents(folder / "merged") == expected, step
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".merged")], step
        shutil.rmtree(folder)


def test_workers_and_driver_killed_at_any_moment(undisturbed: Any, tmp_path: Path) -> None:
    """With two workers, at moments that nobody chose."""
    code = (
        "import sys; from pathlib import Path; from chaotic import recipe_for\n"
        "from tuwen.engine.build import build\n"
        "if __name__ == '__main__':\n    "
        "build(recipe_for(Path(sys.argv[1])), sys.argv[1] + '/corpus', workers=2, quiet=True)"
    )
    make_pages(tmp_path)
    moments = random.Random(8)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path], env={"PYTHONPATH": ":".join(sys.path)})
        with suppress(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0.5, 5.0))
        process.kill()
        process.wait()
    check_whole(tmp_path, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def used_kb(folder: Path) -> int:
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024


def test_a_full_disk(undisturbed: Any, small_disk: Path) -> None:
    """Full at ever later moments, until there is room enough."""
    make_pages(small_disk)
    told = set()
    for size in (260, 320, 380, 450, 600):
        resize(small_disk, f"size={size}k")
        done = run_script(small_disk, "build")
        if done.returncode == 0:
            break
        assert done.returncode == 1, done.stderr
        told.add(done.stderr.splitlines()[-1])
    assert any("No space left" in line or "os error 28" in line for line in told), told
    resize(small_disk, "size=50m")
    check_whole(small_disk, undisturbed)


@pytest.mark.parametrize("rows", [1, 10, 1000])
def test_a_column_file_on_a_full_disk(small_disk: Path, rows: int) -> None:
    """Told, whatever the size: what bears the name of a finished file is one."""
    (small_disk / "pairs.lance").mkdir()
    (small_disk / "filler").write_bytes(bytes(40_000))
    values = pa.record_batch({"n": pa.array(range(rows), pa.int32())})
    told = 0
    for room in (0, 4, 8, 12, 16):
        writer = ColumnWriter(small_disk, "pairs", "tiny", values.schema)
        resize(small_disk, f"size={used_kb(small_disk) + room}k")
        try:
            writer.write(values)
            name = writer.close({})
        except OSError as error:
            assert "No space left" in str(error) or "os error 28" in str(error)
            writer.abandon()
            told += 1
        else:
            assert LanceFileReader(str(small_disk / "pairs.lance" / "data" / name)).num_rows() == rows
    assert 0 < told < 5


def test_a_full_disk_under_a_release(undisturbed: Any, small_disk: Path) -> None:
    resize(small_disk, "size=50m")
    make_pages(small_disk)
    build(recipe_for(small_disk), small_disk / "corpus", quiet=True)
    cut(small_disk)
    used = used_kb(small_disk)
    for room in (30, 60, 100):
        resize(small_disk, f"size={used + room}k")
        with pytest.raises((TuwenError, OSError)):
            release(Corpus.open(small_disk / "corpus"), "long", small_disk / "out", overwrite=True)
        assert verify(small_disk / "out") == []
    resize(small_disk, "size=50m")
    check_whole(small_disk, undisturbed)


def test_a_folder_that_is_read_only(undisturbed: Any, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking works; building says what is wrong, and changes nothing."""
    resize(small_disk, "size=50m")
    make_pages(small_disk)
    build(recipe_for(small_disk), small_disk / "corpus", quiet=True)
    cut(small_disk)
    resize(small_disk, "ro")
    assert tuwen(["status", str(small_disk / "corpus"), "--json"]) == 0
    assert tuwen(["funnel", str(small_disk / "corpus"), "--selection", "long", "--json"]) == 0
    assert tuwen(["verify", str(small_disk / "out")]) == 0
    capsys.readouterr()
    with pytest.raises((TuwenError, OSError), match=r"[Rr]ead-only file system"):
        build(recipe_for(small_disk), small_disk / "corpus", quiet=True)
    with pytest.raises((TuwenError, OSError), match=r"[Rr]ead-only file system"):
        cut(small_disk)
    resize(small_disk, "rw")
    check_whole(small_disk, undisturbed)


def test_two_builds_at_once(tmp_path: Path) -> None:
    """The second fails at once and says why; the first, and whoever reads, notice nothing."""
    make_pages(tmp_path)
    (tmp_path / "notes").mkdir()
    code = (
        "import sys; from pathlib import Path; from chaotic import recipe_for; from deadly import Slow\n"
        "from tuwen.engine.build import build\nfolder = Path(sys.argv[1])\n"
        "build(recipe_for(folder, Slow(str(folder / 'notes'), 2.0)), folder / 'corpus', quiet=True)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, tmp_path], env={"PYTHONPATH": ":".join(sys.path)})
    while not list((tmp_path / "notes").iterdir()):
        assert first.poll() is None
        time.sleep(0.02)
    with pytest.raises(TuwenError, match=re.escape("is being written by another tuwen; wait until it has finished")):
        build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    assert Corpus.open(tmp_path / "corpus").count("pairs") == 72
    assert first.wait() == 0
    assert plan(recipe_for(tmp_path, Slow(str(tmp_path / "notes"), 2.0)), tmp_path / "corpus").nothing_to_do


def test_a_clock_that_jumps(undisturbed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years back and forth, and standing still: no value, no release and no order of runs hangs on it."""
    make_pages(tmp_path, units=1)

    class Clock(datetime):
        shift = timedelta()

        @classmethod
        def now(cls, zone: Any = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 1, 1, tzinfo=UTC) + cls.shift

    monkeypatch.setattr(progress, "datetime", Clock)
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0 + Clock.shift.total_seconds())
    for shift in (0, -3650, 3650):
        Clock.shift = timedelta(days=shift)
        build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    shutil.rmtree(tmp_path / "pages")
    make_pages(tmp_path)
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True, refit=True)  # to all pages
    check_whole(tmp_path, undisturbed)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "gone"])
def test_a_corrupt_column_file(how: str, tmp_path: Path) -> None:
    """An error that names the table, from whatever reads it; never a wrong release."""
    make_pages(tmp_path)
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    expected = cut(tmp_path)
    for path in sorted((tmp_path / "corpus" / "pairs.lance" / "data").glob("*.lance")):
        origin = parse_name(path.name)
        if origin is None or origin.stage != "tiny:Length":
            continue
        whole = path.read_bytes()
        damage(path, how)
        shutil.rmtree(tmp_path / "corpus" / "ledgers")
        with suppress(TuwenError):
            assert cut(tmp_path) == expected  # where the damage hit what nobody reads
        path.write_bytes(whole)
    assert cut(tmp_path) == expected


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "flipped":
        for place in range(0, len(data), 7):
            data[place] ^= 0x55
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2] if how == "cut" else b"")


def test_hundreds_of_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 fragments of three pairs: the same values. Each costs hundredths of a second: thousands take minutes."""
    make_pages(tmp_path, units=1, pages=300)
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    whole = rows(tmp_path / "corpus"), cut(tmp_path)
    shutil.rmtree(tmp_path / "corpus")
    small = {name: type(table)(**{**vars(table), "rows_per_fragment": 3}) for name, table in TABLES.items()}
    for module in ("tuwen.corpus.units",):
        monkeypatch.setattr(sys.modules[module], "TABLES", small | {"documents": TABLES["documents"]})
    started = time.process_time()
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    first = time.process_time() - started
    assert len(Corpus.open(tmp_path / "corpus").dataset("pairs").get_fragments()) == 300
    assert rows(tmp_path / "corpus") == whole[0] and cut(tmp_path) == whole[1]
    started = time.process_time()
    assert build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True).did_nothing
    assert time.process_time() - started < max(5.0, first / 4)


def rows(path: Path) -> list[Any]:
    table = Corpus.open(path).table("pairs")
    return table.select(sorted(table.column_names)).sort_by("pair_id").to_pylist()


def test_a_limit_on_the_size_of_files(undisturbed: Any, tmp_path: Path) -> None:
    """A quota, on any file system: the build fails with the system's words, and the next one goes on."""
    make_pages(tmp_path)
    code = (
        "import resource, signal, sys; from pathlib import Path; import chaotic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))\n"
        "chaotic.main(Path(sys.argv[1]), 'build', None)"
    )
    for size in (300, 1500, 3000):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path, str(size)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.returncode == 1 and "too large" in done.stderr.lower(), done.stderr[-500:]
    check_whole(tmp_path, undisturbed)
