"""The corpus of the demo, and pages of the explorer over it. Nobody writes to the shared one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe
from tuwen.explorer.app import make_app
from tuwen.explorer.prepared import Prepared
from tuwen.explorer.scan import Stop
from tuwen.explorer.snapshot import Explored, Snapshot

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1"


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory: pytest.TempPathFactory, demo_crawl: Path) -> Path:
    """The example's corpus on the crawl that ships."""
    folder = tmp_path_factory.mktemp("explorer") / "corpus"
    recipe = Recipe.load(ROOT / "examples" / "docs-crawl.yaml", [f"sources=[{{warc: {{paths: ['{demo_crawl}']}}}}]"])
    build(recipe, folder, quiet=True)
    return folder


@pytest.fixture
def own_corpus(demo_corpus: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(demo_corpus, tmp_path / "corpus"))


def patient(path: Path) -> TestClient:
    """A client of a server that waits for what it prepares, however busy the machine is."""
    app = make_app(path)
    app.state.explorer.explored.prepared._wait_s = 60.0
    return TestClient(app, ADDRESS)


@pytest.fixture(scope="session")
def server(demo_corpus: Path) -> Iterator[TestClient]:
    """The explorer of the demo's corpus."""
    with patient(demo_corpus) as client:
        yield client


@pytest.fixture
def pages(server: TestClient) -> TestClient:
    """A browser without JavaScript, on the demo's corpus: nobody has chosen a language or blur in it yet."""
    server.cookies.clear()
    return server


@pytest.fixture
def explore() -> Callable[[Path], TestClient]:
    """The same for any corpus."""
    return patient


@pytest.fixture(scope="session")
def demo(demo_corpus: Path) -> Corpus:
    """The demo's corpus, for the truth."""
    return Corpus.open(demo_corpus)


@pytest.fixture(scope="session")
def looked(demo_corpus: Path) -> Snapshot:
    """The demo's corpus as pages see it. What takes long is waited for."""
    return Explored(demo_corpus, Prepared(wait_s=60)).snapshot()


@pytest.fixture
def look() -> Callable[[Path], Explored]:
    """The same for any corpus, which may change."""
    return lambda path: Explored(path, Prepared(wait_s=60))


@pytest.fixture
def stopped() -> Stop:
    """A stop of somebody who has moved on."""
    stop = Stop(60)
    stop.cancel()
    return stop
