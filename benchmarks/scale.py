"""How CPU, memory and bytes grow with the corpus: from shards of captions to a release, at growing numbers of pairs.

    python benchmarks/scale.py [--sizes 50000 500000 1500000] [--memory 300MB] [--near] [--plot docs/scaling.svg]

Shards of 50,000 pairs (short texts in two scripts, 5 % repeated, 512 small images that all pairs share) are read, text
stages run, exact duplicates go, languages are balanced, and what is kept is released as WebDataset. Every step is a
process of its own, with one worker, so that its CPU and peak memory are its own. `--memory` is what a query may hold
before it spills. `--near` adds near-duplicate texts, whose memory grows with the corpus. The cost of each stage per
million pairs is printed, and what 650 million come to.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TARGET = 650_000_000
SHARD_ROWS, NUM_IMAGES, VOCABULARY = 50_000, 512, 30_000
STAGES = ["pair.resolve", "image.properties", "document.language", "text.properties", "text.language", "text.quality"]
SELECTIONS = {
    "kept": {
        "unit": "pair",
        "steps": [
            {"rule": "num_characters between 20 and 400"},
            {"best": {"k": 1, "per": ["text"], "by": ["num_characters desc"]}},
            {"balance": {"of": "language", "t": 20_000_000}},
            {"sample": {"share": 0.25}},
        ],
    }
}
# VmHWM is of this process alone; ru_maxrss would begin with what the benchmark itself held when it started it.
STEP = (
    "import json, resource, sys, time\n"
    "from tuwen.cli import main\n"
    "started = time.monotonic()\n"
    "assert main(sys.argv[1:]) == 0\n"
    "used = resource.getrusage(resource.RUSAGE_SELF)\n"
    "held = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "peak_mb = int(held.split()[1]) / 1024\n"
    "print(json.dumps([used.ru_utime + used.ru_stime, peak_mb, time.monotonic() - started]))\n"
)


def vocabulary(generator: np.random.Generator) -> list[str]:
    """Words of Latin letters, and a sixth of Chinese characters."""
    letters, characters = list("etaoinshrdlucmfw"), [chr(code) for code in range(0x4E00, 0x4E00 + 2_000)]
    return [
        "".join(generator.choice(characters if n % 6 == 0 else letters, generator.integers(2, 4 if n % 6 == 0 else 10)))
        for n in range(VOCABULARY)
    ]


def images(generator: np.random.Generator) -> list[bytes]:
    """Small JPEGs, each of its own colours."""
    found = []
    for _ in range(NUM_IMAGES):
        pixels = np.kron(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8), np.ones((24, 24, 1), dtype=np.uint8))
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=80)
        found.append(stream.getvalue())
    return found


def write_shards(folder: Path, num_rows: int) -> None:
    """Parquet files with an image and a text in each row."""
    generator = np.random.default_rng(650)
    words, pictures = np.array(vocabulary(generator)), pa.array(images(generator), pa.large_binary())
    folder.mkdir(parents=True)
    for start in range(0, num_rows, SHARD_ROWS):
        count = min(SHARD_ROWS, num_rows - start)
        lengths = generator.integers(3, 25, count)
        ranks = np.minimum(generator.zipf(1.2, lengths.sum()) - 1, VOCABULARY - 1)
        ends = np.cumsum(lengths)
        texts = [" ".join(words[ranks[end - length : end]]) for end, length in zip(ends, lengths, strict=True)]
        texts = [texts[n % 997] if n % 20 == 0 else text for n, text in enumerate(texts)]
        places = pa.array(generator.integers(0, NUM_IMAGES, count), pa.int32())
        table = pa.table({"image": pictures.take(places), "text": texts})
        pq.write_table(table, folder / f"{start // SHARD_ROWS:05d}.parquet", row_group_size=SHARD_ROWS)


def step(*arguments: str | Path, memory: str | None = None) -> tuple[float, float, float]:
    """(CPU seconds, peak MB, seconds) of a `tuwen` command in a process of its own."""
    command = [sys.executable, "-c", STEP, *map(str, arguments)]
    environment = {**os.environ, **({"TUWEN_MEMORY": memory} if memory else {})}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    cpu_s, peak_mb, wall_s = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, peak_mb, wall_s


def stage_seconds(corpus: Path) -> dict[str, float]:
    """Stage → CPU seconds in its calls; `reading units` for the rows themselves, from the build's log."""
    found: dict[str, float] = {}
    for path in (corpus / "logs").glob("*-build.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "unit":
                found["reading units"] = found.get("reading units", 0.0) + event["cpu_s"]
            for stage, seconds in event.get("stage_cpu_s", {}).items():
                found[stage] = found.get(stage, 0.0) + seconds
    return found


def stage_bytes(corpus: Path) -> dict[str, int]:
    """Stage → bytes of its column files; `rows` for the base rows of pairs."""
    from tuwen.corpus.columns import parse_name

    found: dict[str, int] = {}
    for path in corpus.glob("*.lance/data/*.lance"):
        origin = parse_name(path.name)
        name = origin.stage if origin else f"rows of {path.parts[-3].removesuffix('.lance')}"
        found[name] = found.get(name, 0) + path.stat().st_size
    return found


def measure(folder: Path, num_rows: int, memory: str, near: bool) -> dict[str, Any]:
    """All steps at one size."""
    shards, corpus, recipe = folder / "shards", folder / "corpus", folder / "recipe.yaml"
    write_shards(shards, num_rows)
    stages = [*STAGES, *(["dedup.text"] if near else [])]
    sources = [{"parquet": {"paths": [str(shards)]}}]
    recipe.write_text(json.dumps({"name": "scale", "sources": sources, "stages": stages, "selections": SELECTIONS}))
    build: list[str | Path] = ["build", recipe, "--corpus", corpus, "--workers", "1"]
    commands: dict[str, list[str | Path]] = {
        "build": build,
        "nothing to do": build,
        "judge": ["funnel", corpus, "--selection", "kept"],
        "release": ["release", corpus, "--selection", "kept", "--to", folder / "release"],
        "verify": ["verify", folder / "release"],
    }
    steps = {}
    for name, command in commands.items():
        cpu_s, peak_mb, wall_s = steps[name] = step(*command, memory=memory)
        print(f"{num_rows:>9,} pairs, {name:<14} {cpu_s:8.1f} CPU-s {wall_s:8.1f} s {peak_mb:6.0f} MB", flush=True)
    released = sum(path.stat().st_size for path in (folder / "release").rglob("*") if path.is_file())
    return {
        "rows": num_rows,
        "steps": steps,
        "seconds": stage_seconds(corpus),
        "bytes": {**stage_bytes(corpus), "release": released},
    }


def print_model(found: dict[str, Any]) -> None:
    """CPU-seconds and bytes per million pairs, and for all of them."""
    million = found["rows"] / 1e6
    steps = {name: cpu_s for name, (cpu_s, _, _) in found["steps"].items() if name != "nothing to do"}
    steps["committing, planning, starting"] = steps.pop("build") - sum(found["seconds"].values())
    print(f"\n{'of a million pairs':<32}{'CPU-s':>9}{'MB':>9}   650 million: CPU-h, GB")
    for name in dict.fromkeys([*found["seconds"], *steps, *found["bytes"]]):
        seconds = found["seconds"].get(name, steps.get(name, 0.0)) / million
        megabytes = found["bytes"].get(name, 0) / 1e6 / million
        scale = TARGET / 1e6
        print(f"{name:<32}{seconds:9.1f}{megabytes:9.1f}   {seconds * scale / 3600:9.0f}{megabytes * scale / 1e3:9.0f}")


def rate(found: dict[str, Any], *names: str) -> float:
    """Pairs per CPU-second of steps, without the start of their processes, which is what nothing to do costs."""
    steps, idle = found["steps"], found["steps"]["nothing to do"][0]
    return float(found["rows"] / sum(steps[name][0] - idle for name in names))


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Rows per CPU-second and peak memory over the number of pairs, as SVG."""
    width, height, left, top = 640, 260, 60, 30
    sizes = [found["rows"] for found in results]
    low, high = np.log10(sizes[0]), max(np.log10(sizes[-1]), np.log10(sizes[0]) + 1)

    def line(values: list[float], colour: str, label: str, place: int) -> str:
        most, tall = max(values) * 1.25, (180, 110)[place]  # the one above the other
        points = [
            (left + (np.log10(size) - low) / (high - low) * (width - 2 * left), height - top - value / most * tall)
            for size, value in zip(sizes, values, strict=True)
        ]
        drawn = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        dots = "".join(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colour}"/>'
            f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="middle" fill="{colour}">{value:,.0f}</text>'
            for (x, y), value in zip(points, values, strict=True)
        )
        key = f'<text x="{left}" y="{16 + 14 * place}" fill="{colour}">{label}</text>'
        return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{key}'

    rates = [rate(found, *found["steps"]) for found in results]
    peaks = [max(peak_mb for _, peak_mb, _ in found["steps"].values()) for found in results]
    ticks = "".join(
        f'<text x="{left + (np.log10(size) - low) / (high - low) * (width - 2 * left):.0f}" y="{height - 8}" '
        f'text-anchor="middle" fill="#555">{size:,}</text>'
        for size in sizes
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11">\n<title>Pairs per CPU-second and peak memory by number of pairs</title>\n'
        f'<line x1="{left}" y1="{height - top}" x2="{width - left}" y2="{height - top}" stroke="#999"/>\n'
        f"{line(rates, '#1b6ca8', 'pairs per CPU-second, from shards to a verified release', 0)}\n"
        f"{line(peaks, '#b3541e', 'peak memory of the largest step, MB', 1)}\n{ticks}\n</svg>\n",
        encoding="utf-8",
    )


def main() -> int:
    """Print raw figures, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 500_000, 1_500_000])
    parser.add_argument("--memory", default="300MB", help="TUWEN_MEMORY of every step")
    parser.add_argument("--near", action="store_true", help="near-duplicate texts too")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--results", type=Path, help="a file of results to add to, one JSON object a line")
    options = parser.parse_args()
    results, started = [], time.monotonic()
    for size in options.sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            results.append(measure(Path(folder), size, options.memory, options.near))
        if options.results:
            with options.results.open("a") as stream:
                stream.write(json.dumps(results[-1]) + "\n")
    print_model(results[-1])
    if options.plot:
        plot(results, options.plot)
    rates = [rate(found, *found["steps"]) for found in results]
    text_rates = [rate(found, "build") for found in results]
    peaks = [max(peak_mb for _, peak_mb, _ in found["steps"].values()) for found in results]
    drift, growth = abs(text_rates[-1] / text_rates[0] - 1), peaks[-1] / peaks[-2] if len(peaks) > 1 else 1.0
    shown = ", ".join(f"{rate:,.0f}" for rate in rates)
    print(f"\npairs per CPU-s: {shown}; {time.monotonic() - started:.0f} s in all")
    print(f"the build alone: {', '.join(f'{rate:,.0f}' for rate in text_rates)}")
    print(f"scale-drift: {drift:.3f} (goal 0.1) {'ok' if drift <= 0.1 else 'short'}")
    print(f"scale-memory: {growth:.2f} (goal 1.2) {'ok' if growth <= 1.2 else 'short'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
