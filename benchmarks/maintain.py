"""What changing a finished corpus costs: compare, take down, purge, free, merge, look deep, as it grows.

    python benchmarks/maintain.py [--sizes 100000 1000000]

Two corpora of so many pairs each, of captions and small images that pairs share (those of scale.py), have half of their
shards in common. Selections of the two are compared; an image that pairs of every fragment show is taken down from the
first and purged, the bytes of images that a selection does not want are freed, the two are merged, and the result is
read to the last byte. Every step is a process of its own, so that its CPU and peak memory are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path

from tuwen.corpus.corpus import Corpus

HERE = Path(__file__).parent
STAGES = ["pair.resolve", "image.properties", "text.properties"]
SELECTIONS = {
    "long": {"unit": "pair", "steps": [{"rule": "num_characters >= 60"}]},
    "half": {"unit": "image", "steps": [{"rule": "image_id >= '8'"}]},
}


def measure(folder: Path, num_rows: int) -> dict[str, tuple[float, float, float]]:
    """Step → (CPU seconds, peak MB, seconds)."""
    scale = runpy.run_path(str(HERE / "scale.py"))
    step, shards = scale["step"], folder / "shards"
    scale["write_shards"].__globals__["SHARD_ROWS"] = num_rows // 10
    scale["write_shards"](shards, num_rows * 3 // 2)
    files = sorted(map(str, shards.glob("*.parquet")))
    one, two, both = (folder / name for name in ("one", "two", "both"))
    found = {}
    for corpus, paths in ((one, files[:10]), (two, files[5:])):
        recipe = folder / f"{corpus.name}.yaml"
        told = {"name": "maintain", "sources": [{"parquet": {"paths": paths}}]}
        recipe.write_text(json.dumps({**told, "stages": STAGES, "selections": SELECTIONS}))
        found["build"] = step("build", recipe, "--corpus", corpus, "--workers", "1")
    image = next(iter(Corpus.open(one).scan("images", ["image_id"])))["image_id"][0].as_py()
    found["diff"] = step("diff", f"{one}:long", f"{two}:long")
    found["merge"] = step("merge", one, two, "--to", both)
    found["takedown"] = step("takedown", one, "--image", image)
    found["purge"] = step("purge", one, "--yes")
    found["gc"] = step("gc", two, "--selection", "half", "--yes")
    found["build again"] = step("build", folder / "two.yaml", "--corpus", two, "--workers", "1")
    found["status --deep"] = step("status", "--deep", both)
    return found


def main() -> int:
    """Print raw figures, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    options = parser.parse_args()
    results = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            results.append(measure(Path(folder), size))
        for name, (cpu_s, peak_mb, wall_s) in results[-1].items():
            print(f"{size:>9,} pairs, {name:<14} {cpu_s:8.1f} CPU-s {wall_s:8.1f} s {peak_mb:6.0f} MB", flush=True)
    small, large = results[0], results[-1]
    million = (options.sizes[-1] - options.sizes[0]) / 1e6
    for name in small if million > 0 else ():
        more_cpu, more_mb = large[name][0] - small[name][0], large[name][1] - small[name][1]
        print(
            f"of a million pairs more, {name:<14} {more_cpu / million:8.1f} CPU-s {more_mb / million:6.0f} MB of memory"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
