"""A stage that takes its process down costs the rows at fault; the build comes to its end, the same wherever it ran."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deadly import Deadly, DeadlyMarks, DeadlyOnce, DeadlyPages
from tiny import Length, Pages, write_pages

from tuwen.cli import main as tuwen
from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import Built, build, plan
from tuwen.engine.limits import Limits, parse_size
from tuwen.engine.mapper import Argument, Mapper, Result, WorkerDied
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import TuwenError, UsageError

FATAL = {"text 17 1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(0, 20))
    write_pages(tmp_path / "pages", "b", range(20, 30))
    return tmp_path


def recipe_for(folder: Path, *stages: Any, source: Any = Pages) -> Recipe:
    return Recipe("t", (NamedSource("pages", source(str(folder / "pages"))),), stages, {"name": "t"})


def run(folder: Path, *stages: Any, source: Any = Pages, **options: Any) -> Built:
    return build(
        recipe_for(folder, *stages, source=source), folder / "corpus", **{"workers": 2, "quiet": True, **options}
    )


def check_alive(folder: Path, code: str, columns: tuple[str, str] = ("alive", "deadly_Deadly_error")) -> None:
    rows = Corpus.open(folder / "corpus").table("pairs").to_pylist()
    assert len(rows) == 90
    for row in rows:
        assert tuple(row[name] for name in columns) == ((None, code) if row["text"] in FATAL else (True, None))


@pytest.mark.parametrize(("how", "code"), [("SIGSEGV", "SIGSEGV"), ("exit", "exit 3")])
def test_a_row_that_kills_its_process_gets_an_error(folder: Path, how: str, code: str) -> None:
    built = run(folder, Deadly(how=how), Length())
    assert built.errors == {"deadly:Deadly": {code: 1}} and built.stage_rows["tiny:Length"] == 90
    check_alive(folder, code)
    assert plan(recipe_for(folder, Deadly(how=how), Length()), folder / "corpus").nothing_to_do


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_takes_all_memory_gets_an_error(folder: Path, workers: int) -> None:
    """In this process too: running out of memory can be caught, and is then tried again in a child."""
    code = (
        "import sys; from pathlib import Path; from test_deaths import *\n"
        "run(Path(sys.argv[1]), Deadly(how='memory'), workers=int(sys.argv[2]), limits=Limits(memory=4 << 30))"
    )
    path = ":".join([str(Path(__file__).parent), *sys.path])
    subprocess.run([sys.executable, "-c", guarded(code), folder, str(workers)], check=True, env={"PYTHONPATH": path})
    check_alive(folder, "MemoryError")


def guarded(code: str) -> str:
    return f"if __name__ == '__main__':\n    exec({code!r})"


def test_a_worker_that_is_killed_once_costs_nothing(folder: Path) -> None:
    built = run(folder, DeadlyOnce(str(folder / "flag")))
    assert not built.errors and built.stage_rows == {"deadly:DeadlyOnce": 90}


def test_a_crash_of_the_driver_is_survived_by_the_next_build(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from test_deaths import *\nrun(Path(sys.argv[1]), Deadly(), workers=1)"
    )
    path = ":".join([str(Path(__file__).parent), *sys.path])
    for _ in range(1):
        crashed = subprocess.run([sys.executable, "-c", code, folder], env={"PYTHONPATH": path})
        assert crashed.returncode == -11
    subprocess.run([sys.executable, "-c", code, folder], env={"PYTHONPATH": path}, check=True)
    check_alive(folder, "SIGSEGV")


def test_a_stage_that_dies_of_everything_ends_the_build_and_marks_no_row(folder: Path) -> None:
    with pytest.raises(TuwenError, match=r"deadly:Deadly: \d+ processes .* SIGSEGV .* mend it"):
        run(folder, Deadly(fatal=""))
    assert run(folder, Deadly()).errors == {"deadly:Deadly": {"SIGSEGV": 1}}


def test_texts_that_kill_are_left_out_by_stages_that_add_rows(folder: Path) -> None:
    built = run(folder, DeadlyMarks())
    assert built.errors == {"deadly:DeadlyMarks": {"SIGSEGV": 1}} and built.added_rows == {"deadly:DeadlyMarks": 89}


def test_a_unit_that_kills_its_readers_is_told_and_tried_again(folder: Path) -> None:
    built = run(folder, Length(), source=DeadlyPages)
    assert [problem.partition(":")[0] for _, problem in built.ingested.damaged] == ["kills its reader"]
    assert built.ingested.num_units == 1 and built.stage_rows == {"tiny:Length": 60}
    assert run(folder, Length()).stage_rows == {"tiny:Length": 30}  # a reader that copes


@dataclass(frozen=True)
class Job:
    name: str
    deaths: int = 0

    @property
    def alone(self) -> bool:
        return self.deaths == 2


class OneFate(Mapper):
    """A pool in which one death ends all that runs, as that of local workers; what dies when is no matter of chance."""

    number = 2

    def __init__(self) -> None:
        self.handed: dict[int, tuple[Callable[[Any], Any], Any]] = {}

    def __enter__(self) -> OneFate:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def submit(self, work: Callable[[Argument], Result], argument: Argument) -> int:
        number = len(self.handed)
        self.handed[number] = (work, argument)
        return number

    def finished(self, running: Collection[int]) -> list[int]:
        self.together = [self.handed[number][1] for number in running]
        return list(running)

    def result(self, handle: int) -> Any:
        if any(job.name == "deadly" and job.deaths < 3 for job in self.together):
            raise WorkerDied("it was deadly")
        work, argument = self.handed[handle]
        return work(argument)


def outcome(job: Job) -> tuple[str, bool]:
    return job.name, job.deaths < 3


@pytest.mark.parametrize("place", range(4))
def test_a_task_beside_one_that_kills_is_not_blamed(place: int) -> None:
    names = ["a", "b", "c"]
    names.insert(place, "deadly")
    expected = [(name, name != "deadly") for name in names]
    assert list(OneFate().ordered(outcome, map(Job, names))) == expected
    assert sorted(OneFate().unordered(outcome, map(Job, names))) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2GiB", 2 << 30), ("1.5g", 1_500_000_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "5 apples", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--memory", "much"], 2, "'much' is no size"),
        (["--disk", "0"], 2, "'0' is no size"),
        (["--memory", "1GB", "--workers", "2"], 2, "give at least 1611MB"),
        (["--address", "a.test:1"], 2, "add --engine ray"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], 1, "try --engine local"),
    ],
)
def test_on_the_command_line(
    options: list[str], code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text("stages: [pair.resolve]")
    assert tuwen(["build", str(tmp_path / "recipe.yaml"), "--corpus", str(tmp_path / "corpus"), *options]) == code
    assert told in capsys.readouterr().err


def test_too_little_memory_for_the_workers(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"2 workers, which need 537 MB; give at least 1611MB"):
        run(folder, Length(), limits=Limits(memory=10**9))


def test_the_corpus_stops_growing_at_the_limit(folder: Path) -> None:
    with pytest.raises(TuwenError, match=r"more than the 0.0 MB of --disk.*larger --disk"):
        run(folder, Length(), limits=Limits(disk=1_000))
    assert run(folder, Length(), limits=Limits(disk=10**9)).ingested.num_units == 1  # the other one is there
