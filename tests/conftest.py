"""Crawls that tests of several packages read. Written once per session; nobody changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hostile_crawl
import pytest
import warc_records
from hypothesis import settings

import tuwen

# The same examples on every machine, and no verdict on how busy it is.
settings.register_profile("tuwen", deadline=None, derandomize=True)
settings.load_profile("tuwen")

DEMO_CRAWL = Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz"


@dataclass(frozen=True)
class HostileCrawl:
    """A folder with WARC files and the truth about each of them."""

    folder: Path
    files: list[hostile_crawl.File]

    @property
    def paths(self) -> list[str]:
        """The files, in their order."""
        return [str(self.folder / file.name) for file in self.files]


@pytest.fixture(scope="session")
def demo_crawl() -> Path:
    """The crawl that ships with tuwen: 40 pages, 378 image URLs, 328 images."""
    return DEMO_CRAWL


@pytest.fixture(scope="session")
def hostile_warc(tmp_path_factory: pytest.TempPathFactory) -> HostileCrawl:
    """Three WARC files with everything that real ones have wrong."""
    folder = tmp_path_factory.mktemp("hostile")
    return HostileCrawl(folder, hostile_crawl.write_crawl(folder))


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of saved pages with images beside them, links out of it and files that are neither."""
    folder = tmp_path_factory.mktemp("folder")
    hostile_crawl.write_folder(folder)
    return folder / "site"


@pytest.fixture
def split_crawl(tmp_path: Path) -> Callable[[int], list[Path]]:
    """`split_crawl(12)` cuts the shipped crawl into twelve small WARC files."""
    return lambda parts: warc_records.split_crawl(DEMO_CRAWL, tmp_path / "parts", parts)
