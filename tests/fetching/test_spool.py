"""Attempts survive kills, cuts and full disks."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.errors import TuwenError
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.spool import Spool, read, seal_left_over, sealed_files

TEXTS = st.text(max_size=20)  # with lone surrogates: headers hold anything
ATTEMPTS = st.builds(
    Attempt,
    url=TEXTS,
    captured_at=st.integers(0, 2**60),
    status=st.none() | st.integers(100, 599),
    error=st.none() | TEXTS,
    content_type=st.none() | TEXTS,
    rights=st.none() | st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    redirect_url=st.none() | TEXTS,
    num_bytes=st.none() | st.integers(0, 2**40),
    sha256=st.none() | st.just("ab" * 32),
    elapsed_ms=st.none() | st.floats(0, 1e9),
    image_id=st.none() | st.just("ab" * 16),
    image=st.none() | st.binary(max_size=200),
)


def all_of(folder: Path) -> list[Attempt]:
    return [attempt for path in sealed_files(folder) for attempt in read(path)]


@given(attempts=st.lists(ATTEMPTS, max_size=6), per_file=st.integers(1, 4))
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[Attempt], per_file: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with Spool(folder, max_attempts=per_file) as spool:
        for attempt in attempts:
            spool.add(attempt)
    assert all_of(folder) == attempts
    assert len(sealed_files(folder)) == -(-len(attempts) // per_file)
    assert not list(folder.glob("*.open"))


@given(attempts=st.lists(ATTEMPTS, min_size=1, max_size=3), data=st.data())
def test_a_cut_or_damaged_file_gives_the_whole_records_before_it(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[Attempt], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    ends = []
    with Spool(folder) as spool:
        for attempt in attempts:
            spool.add(attempt)
            ends.append(next(folder.glob("*.open")).stat().st_size)
    [path] = sealed_files(folder)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    assert list(read(path)) == attempts[: sum(end <= cut for end in ends)]

    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    assert list(read(path)) == attempts[: sum(end <= at for end in ends)]


def test_every_cut_of_one_file(tmp_path: Path) -> None:
    attempts = [Attempt("http://a/", 1, image=b"12"), Attempt("http://b/", 2, error="timeout", rights=(("k", "v"),))]
    ends = []
    with Spool(tmp_path) as spool:
        for attempt in attempts:
            spool.add(attempt)
            ends.append(next(tmp_path.glob("*.open")).stat().st_size)
    [path] = sealed_files(tmp_path)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert list(read(path)) == attempts[: sum(end <= cut for end in ends)]


def test_seals_by_number_size_and_age(tmp_path: Path) -> None:
    now = 0.0
    seen: list[Path] = []
    spool = Spool(tmp_path, max_attempts=3, max_bytes=5000, max_age_s=30, on_seal=seen.append, clock=lambda: now)
    small, large = Attempt("http://a/", 1), Attempt("http://a/", 1, image=bytes(5000))
    for _ in range(3):
        spool.add(small)
    assert len(seen) == 1
    spool.add(large)
    assert len(seen) == 2
    spool.add(small)
    now = 29.9
    spool.seal_if_due()
    assert len(seen) == 2
    now = 30.0
    spool.seal_if_due()
    assert len(seen) == 3
    spool.seal()
    assert seen == sealed_files(tmp_path) and len(all_of(tmp_path)) == 5


ENDLESS = """
import sys
from pathlib import Path
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.spool import Spool
spool = Spool(Path(sys.argv[1]), max_attempts=50)
for number in range(10**9):
    spool.add(Attempt(f"http://a/{number}", number, image=bytes(2000)))
    print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_added(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", ENDLESS, tmp_path], stdout=subprocess.PIPE) for _ in range(2)]
    lines = [b"0"] * 2
    try:
        for position, writer in enumerate(writers):
            assert writer.stdout is not None
            for _ in range(120):
                lines[position] = writer.stdout.readline()
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert len(list(tmp_path.glob("*.open"))) <= 2
    seal_left_over(tmp_path)
    numbers = sorted(attempt.captured_at for attempt in all_of(tmp_path))
    for line in lines:  # two processes wrote side by side: each number up to the last printed one is there
        assert set(range(int(line) + 1)) <= set(numbers)
    assert numbers.count(0) == 2


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file may exceed 100 kB, and a write beyond that fails instead of killing."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_and_corrupts_nothing(tmp_path: Path, small_disk: int) -> None:
    added = 0
    with pytest.raises(TuwenError, match=r"cannot be written: File too large.*Make room"), Spool(tmp_path) as spool:
        for number in range(1000):
            spool.add(Attempt(f"http://a/{number}", number, image=bytes(7000)))
            added += 1
    assert added == small_disk // 7000
    assert [attempt.captured_at for attempt in all_of(tmp_path)] == list(range(added))


def test_files_that_are_no_spools_give_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.sealed"
    path.write_bytes(b"PK\x03\x04" * 100)
    assert list(read(path)) == []
    assert sealed_files(tmp_path / "missing") == [] and seal_left_over(tmp_path / "missing") == []


def test_names_are_new_and_in_order(tmp_path: Path) -> None:
    for number in range(20):
        with Spool(tmp_path) as spool:
            spool.add(Attempt("http://a/", number))
    assert [attempt.captured_at for attempt in all_of(tmp_path)] == list(range(20))


def test_adding_is_cheap(tmp_path: Path) -> None:
    """27 kB with its row: far below a millisecond of processor time, and no file grows in memory."""
    attempt = Attempt(
        "http://example.org/a.jpg", 1, 200, None, "image/jpeg", (), None, 27_000, "ab" * 32, 3.5, "ab" * 16
    )
    attempt.image = bytes(27_000)
    with Spool(tmp_path) as spool:
        start = time.process_time()
        for _ in range(1000):
            spool.add(attempt)
        assert time.process_time() - start < 0.3
