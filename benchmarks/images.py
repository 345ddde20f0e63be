"""The image pass: CPU milliseconds per JPEG of about 27 KB with all image stages on, against bare decoding.

    python benchmarks/images.py [--count 1024] [--rounds 3]

The images come from a frozen generator: smooth random fields with a little noise, four sizes around 640×480. A turn
takes one record batch of 256 images, as the engine does, decodes each once and calls every stage that asks for
pixels; the bare loops decode the same batch with Pillow, whole and at the DCT scale of the stages. Turns alternate.
The last line is `images: MS (goal 1.5) ok|short`.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tuwen.parts import load, load_class, names_in
from tuwen.stages import option
from tuwen.stages.image.pixels import decode

GOAL = 1.5
BATCH = 256
SIZES = [(640, 480), (480, 640), (800, 600), (512, 512)]


def jpegs(count: int) -> list[bytes]:
    """The same images in every run."""
    chance = np.random.default_rng(20)
    found = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        field = Image.fromarray(chance.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(field.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = smooth + chance.integers(-4, 5, (height, width, 1), dtype=np.int16)
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=68)
        found.append(buffer.getvalue())
    return found


def pass_over(batch: pa.RecordBatch, stages: list[Any], spent: dict[str, float]) -> None:
    """Decode once, call every stage; adds the CPU seconds of each step to `spent`."""
    mark = time.process_time()
    short_side = max(stage.pixels for stage in stages)
    pixels = [decode(data.as_py(), short_side) for data in batch["bytes"]]
    spent["decode"] = spent.get("decode", 0.0) + time.process_time() - mark
    for stage in stages:
        mark = time.process_time()
        stage(batch, pixels=pixels)
        name = type(stage).__name__
        spent[name] = spent.get(name, 0.0) + time.process_time() - mark


def bare(batch: pa.RecordBatch, short_side: int) -> None:
    """Pillow alone; 0: full size."""
    for data in batch["bytes"]:
        with Image.open(io.BytesIO(data.as_py())) as image:
            if short_side:
                image.draft(None, (short_side, short_side))
            image.load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    classes = {name: load_class("tuwen.stages", name) for name in names_in("tuwen.stages")}
    # Not an encoder, whose scale is its model's: that is `benchmarks/embedding.py`.
    stages = [load("tuwen.stages", name) for name, cls in classes.items() if isinstance(option(cls, "pixels"), int)]
    short_side = max(stage.pixels for stage in stages)
    contents = jpegs(options.count)
    table = pa.record_batch({"bytes": pa.array(contents, pa.large_binary())})
    batches = [table.slice(start, BATCH) for start in range(0, options.count, BATCH)]
    size = sum(map(len, contents)) / len(contents) / 1000
    print(f"{options.count} JPEGs of {size:.1f} KB, {options.rounds} rounds, stages decode at short side {short_side}")

    spent: dict[str, float] = {}
    loops: dict[str, Callable[[pa.RecordBatch], None]] = {
        "all image stages": lambda batch: pass_over(batch, stages, spent),
        "bare decode, full size": lambda batch: bare(batch, 0),
        "bare decode, scaled": lambda batch: bare(batch, short_side),
    }
    for loop in loops.values():  # imports and caches
        loop(batches[0])
    spent.clear()
    rounds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        turn = dict.fromkeys(loops, 0.0)
        for batch in batches:
            for name, loop in loops.items():
                mark = time.process_time()
                loop(batch)
                turn[name] += time.process_time() - mark
        for name, seconds in turn.items():
            rounds[name].append(1000 * seconds / options.count)

    middle = {name: statistics.median(found) for name, found in rounds.items()}
    for name, found in rounds.items():
        listed = ", ".join(f"{value:.3f}" for value in found)
        print(f"  {name}: {middle[name]:.3f} CPU ms an image (rounds: {listed})")
    for name, seconds in spent.items():
        print(f"    {name}: {1000 * seconds / options.count / options.rounds:.3f}")
    ours = middle["all image stages"]
    print(f"  ratio to full decode {ours / middle['bare decode, full size']:.2f}")
    print(f"  ratio to scaled decode {ours / middle['bare decode, scaled']:.2f}")
    print(f"images: {ours:.2f} (goal {GOAL:g}) {'ok' if ours <= GOAL else 'short'}")


if __name__ == "__main__":
    main()
