"""The same build on Ray: equal digests and release bytes, on one node and on two, whoever dies on the way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from deadly import Deadly, DeadlyMarks, Slow
from tiny import Length, Mean, NumPairs, PageLength, Pages, Parity, Picky, write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.build import Built, build
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.single import stage
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.release import release

SELECTIONS = {"long": {"unit": "pair", "steps": [{"rule": "position = 0"}]}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of one node on this machine, with two CPUs and what Ray takes for a GPU."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
    for attempt in range(4):
        try:
            running = Cluster(initialize_head=True, head_node_args=head)
            break
        except Exception:  # Ray gives a node 30 s to start, which a busy machine may take
            if attempt == 3:
                raise
    yield running
    running.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    for number, name in enumerate("abcdef"):
        write_pages(tmp_path / "pages", name, range(10 * number, 10 * number + 10))
    return tmp_path


def run(folder: Path, *stages: Any, to: str = "corpus", **options: Any) -> Built:
    sources = (NamedSource("pages", Pages(str(folder / "pages"))),)
    recipe = Recipe("t", sources, stages, {"name": "t", "selections": SELECTIONS})
    return build(recipe, folder / to, **{"workers": 1, "quiet": True, **options})


def contents(path: Path) -> dict[tuple[str, str], str]:
    corpus = Corpus.open(path)
    return {(table, column): corpus.content(table, column) for table in TABLES for column in corpus.columns(table)}


def released(path: Path, to: Path) -> dict[str, bytes]:
    release(Corpus.open(path), "long", to, "ids")
    return {str(file.relative_to(to)): file.read_bytes() for file in sorted(to.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("num_nodes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_every_column_and_a_release_equal_those_of_a_local_build(folder: Path, cluster: Any, num_nodes: int) -> None:
    own = (Length(), Parity(), NumPairs(), PageLength(), Mean(), Picky(), DeadlyMarks(fatal="none"))
    stages = (*own, stage("pair.resolve"))
    added = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(num_nodes - 1)]
    run(folder, *stages, to="local")
    built = run(folder, *stages, to="ray", engine="ray", address=cluster.address)
    for node in added:
        cluster.remove_node(node)
    assert built.stage_rows["tiny:Length"] == 360 and built.added_rows == {"deadly:DeadlyMarks": 180}
    assert contents(folder / "ray") == contents(folder / "local")
    assert released(folder / "ray", folder / "out-ray") == released(folder / "local", folder / "out-local")
    again = run(folder, *stages, to="ray", engine="ray", address=cluster.address)
    assert again.did_nothing


def test_a_row_that_kills_its_process_gets_the_error_that_it_gets_locally(folder: Path, cluster: Any) -> None:
    run(folder, Deadly(), Length(), to="local", workers=2)
    built = run(folder, Deadly(), Length(), to="ray", engine="ray", address=cluster.address)
    assert built.errors == {"deadly:Deadly": {"SIGSEGV": 1}}
    assert contents(folder / "ray") == contents(folder / "local")


def test_a_node_that_is_lost_costs_only_its_tasks(folder: Path, cluster: Any) -> None:
    """The second node goes while it works; what it had in hand runs on the first."""
    (folder / "notes").mkdir()
    second = cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
    slow = Slow(str(folder / "notes"), 4.0)
    lost: list[bool] = []

    def lose() -> None:
        while len(list((folder / "notes").iterdir())) < 4:  # as many as CPUs: both nodes are at work
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        lost.append(True)

    thread = threading.Thread(target=lose)
    thread.start()
    built = run(folder, slow, engine="ray", address=cluster.address)
    thread.join()
    assert lost and built.stage_rows == {"deadly:Slow": 180} and not built.errors
    assert len(list((folder / "notes").iterdir())) > 6  # some were begun twice
    assert all(Corpus.open(folder / "corpus").table("pairs", ["waited"])["waited"].to_pylist())


def test_stages_with_models_on_a_gpu_run_in_actors_that_hold_one(folder: Path, cluster: Any) -> None:
    (folder / "notes").mkdir()
    run(folder, Slow(str(folder / "notes"), 0.0, device="cuda:0"), engine="ray", address=cluster.address)
    notes = list((folder / "notes").iterdir())
    assert {note.name.partition("-")[0] for note in notes} == {notes[0].name.partition("-")[0]}  # one process
    assert {note.read_text() for note in notes} == {"0"} and len(notes) == 6


def test_an_error_that_tells_what_to_do_arrives_as_it_is(folder: Path, cluster: Any) -> None:
    with pytest.raises(TuwenError, match=r"deadly:Deadly: ImportError: libx"):
        run(folder, Deadly(how="library"), engine="ray", address=cluster.address)


@pytest.mark.slow
def test_ray_on_this_machine(folder: Path) -> None:
    assert run(folder, Length(), engine="ray").stage_rows == {"tiny:Length": 180}
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there(folder: Path) -> None:
    with pytest.raises(TuwenError, match=r"Ray: no cluster at 127.0.0.1:1: .*--engine local"):
        run(folder, Length(), engine="ray", address="127.0.0.1:1")


def test_without_ray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TuwenError, match=r"ray is not installed; run: pip install 'tuwen\[ray\]'"):
        run(folder, Length(), engine="ray")


def test_engines_and_addresses_that_do_not_go_together(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no engine 'dask'; there are local and ray"):
        run(folder, Length(), engine="dask")
    with pytest.raises(UsageError, match=r"add --engine ray"):
        run(folder, Length(), address="auto")
