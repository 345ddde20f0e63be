"""What Ray costs: the same build on Ray and on local workers, start-up apart.

    python benchmarks/ray.py [--times 20] [--workers 2] [--runs 3]

The pages of the shipped crawl `--times` over, as WARCs, with every stage of the example recipe. Each engine also builds
the crawl once over, and that is taken off: processes have to start, and what is of interest is how it goes on. Engines
take turns; the fastest of `--runs` counts. Equal digests of all columns are checked as well.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # the folder of this file, which is called like the package that it measures

import argparse
import os
import runpy
import tempfile
import time
from pathlib import Path

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe

HERE = Path(__file__).parent
RECIPE = HERE.parent / "tuwen" / "demo" / "docs-crawl.yaml"
ENGINES = ("local", "ray")


def contents(path: Path) -> dict[str, str]:
    """Column → digest of its values."""
    corpus = Corpus.open(path)
    return {f"{table}.{name}": corpus.content(table, name) for table in TABLES for name in corpus.columns(table)}


def seconds(crawl: Path, corpus: Path, engine: str, workers: int) -> float:
    """Wall time of a build."""
    started = time.monotonic()
    recipe = Recipe.load(str(RECIPE), [f"sources=[{{warc: {{paths: ['{crawl}/*.warc.gz']}}}}]"])
    build(recipe, corpus, workers=workers, quiet=True, engine=engine)
    return time.monotonic() - started


def main() -> int:
    """Print raw figures, then the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    parts = runpy.run_path(str(HERE / "build.py"))
    write_crawl = parts["write_crawl"]
    write_crawl.__globals__["PAGES_PER_WARC"] = 80  # ten units, so that there is something to share out
    best = {(engine, times): float("inf") for engine in ENGINES for times in (1, options.times)}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        for times in (1, options.times):
            write_crawl(folder / f"crawl-{times}", 40 * times)
        for number in range(options.runs):
            for engine, times in best:
                corpus = folder / f"{engine}-{times}-{number}"
                taken = seconds(folder / f"crawl-{times}", corpus, engine, options.workers)
                best[engine, times] = min(best[engine, times], taken)
                print(f"run {number}: {engine} x{times}: {taken:.1f} s", flush=True)
        pairs = Corpus.open(corpus).count("pairs")
        same = contents(folder / f"ray-{options.times}-0") == contents(folder / f"local-{options.times}-0")
    more = {engine: best[engine, options.times] - best[engine, 1] for engine in ENGINES}
    overhead = more["ray"] / more["local"] - 1
    print(f"{pairs} pairs; start-up, and the crawl once: local {best['local', 1]:.1f} s, ray {best['ray', 1]:.1f} s")
    print(f"the rest: local {more['local']:.1f} s, ray {more['ray']:.1f} s")
    print(f"ray: {overhead:.3f} (goal 0.15) {'ok' if overhead <= 0.15 else 'short'}")
    print(f"ray-same-bytes: {int(same)} (goal 1) {'ok' if same else 'short'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
