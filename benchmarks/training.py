"""What training costs beyond its model, and whether images are loaded as fast as they are used (`make bench
NAME=training`).

(a) The trainer against a bare loop of the same network, loss and optimizer on the same batches, tokenised in both as
    they come. Both train in turns, in one process, on drawn scenes in memory; CPU seconds, median of the rounds.
(b) JPEGs of 256 pixels, as releases with `reencode: {short_side: 256}` hold them, in WebDataset shards: images that are
    read, decoded and reduced in a CPU second, against samples that (a)'s trainer uses in one. In the first epoch; later
    ones read decoded images from a file, whose rate is printed too.
(c) Anonymous memory that a further example takes while an epoch of many small images goes by.

The last lines compare with the goals.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tuwen.engine.memory import return_freed_memory
from tuwen.models.columns import Columns
from tuwen.models.contrastive import deterministic
from tuwen.models.features import Features
from tuwen.models.network import Architecture, Network
from tuwen.models.towers import ImageTower, TextTower
from tuwen.objectives.contrast import Contrast
from tuwen.proof.examples.webdataset import Webdataset
from tuwen.proof.method import Method, Phase
from tuwen.proof.streamed import Streamed
from tuwen.proof.trainer import train
from tuwen.proof.worlds.scenes import Scenes
from tuwen.samplers.shuffled import Shuffled

BATCH = 128
GOAL_OVERHEAD, GOAL_LOADING, GOAL_BYTES = 0.05, 1.0, 200.0
ARCHITECTURES = {
    "conv, 32 pixels": Architecture(ImageTower(), TextTower()),
    "vit, 64 pixels": Architecture(ImageTower("vit", layers=3), TextTower(layers=2), side=64),
}


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def bare(architecture: Architecture, tokenizer: object, columns: Columns, steps: int) -> None:
    """Contrastive training without any of the trainer's parts."""
    with deterministic(0):
        network = Network(architecture, tokenizer).train()
        weights = list(network.parameters())
        optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.1)
        loss_of = Contrast()
        order = Shuffled()(columns, BATCH, 0)
        for _ in range(steps):
            loss = loss_of(Features(columns.take(next(order)), network))["contrast.text"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()


def overhead(architecture: Architecture, columns: Columns, steps: int, rounds: int) -> tuple[float, float]:
    """Share of CPU time that the trainer adds, and samples that it uses in a CPU second."""
    method = Method(architecture, (Phase((Contrast(),)),))
    tokenizer = architecture.tokenizer(columns.texts)
    ours, theirs = [], []

    def trained() -> None:
        train(method, columns, samples=steps * BATCH, batch_size=BATCH, seed=0, tokenizer=tokenizer)

    for number in range(rounds + 1):  # the first one warms up
        found = [cpu_s(trained), cpu_s(lambda: bare(architecture, tokenizer, columns, steps))]
        if number:
            ours.append(found[0])
            theirs.append(found[1])
    shares = [one / other - 1 for one, other in zip(ours, theirs, strict=True)]
    print(f"  trainer {statistics.median(ours):.2f} CPU s, bare loop {statistics.median(theirs):.2f}", end="; ")
    print("overhead by round " + ", ".join(f"{share:+.3f}" for share in shares), flush=True)
    return statistics.median(shares), steps * BATCH / statistics.median(ours)


def write_shard(path: Path, files: list[bytes], number: int) -> None:
    """`number` samples, the files one after the other and again."""
    with tarfile.open(path, "w") as archive:
        for row in range(number):
            for kind, data in (("jpg", files[row % len(files)]), ("txt", f"picture number {row}".encode())):
                member = tarfile.TarInfo(f"{row:08}.{kind}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def pictures(images: np.ndarray, side: int) -> Iterator[bytes]:
    """JPEGs with the noise of a camera."""
    rng = np.random.default_rng(0)
    for pixels in images:
        large = np.asarray(Image.fromarray(pixels).resize((side * 4 // 3, side), Image.Resampling.BICUBIC))
        noisy = (large + rng.normal(0, 6, large.shape)).clip(0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(noisy).save(sink, "JPEG", quality=95)
        yield sink.getvalue()


def epoch(columns: Streamed) -> None:
    for _ in columns.batches(np.array_split(np.random.default_rng(0).permutation(columns.num_rows), 8)):
        pass


def loading(folder: Path, side: int, number: int) -> tuple[float, float]:
    """Images in a CPU second: read and decoded, and read again."""
    columns = Webdataset((str(folder),)).load(folder / f"work-{side}", side)
    first, again = (number / cpu_s(lambda: epoch(columns)) for _ in range(2))
    return first, again


def anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def bytes_an_example(folder: Path, files: list[bytes], few: int, many: int) -> float:
    """How much more memory `many` examples take than `few`, each."""
    taken = []
    for number in (few, few, many):  # the first one warms up
        place = folder / f"{number}-{len(taken)}"
        place.mkdir()
        for shard in range(number // 1_000):
            write_shard(place / f"{shard:05}.tar", files, 1_000)
        before = anonymous_bytes()
        columns = Webdataset((str(place),)).load(place / "work", 16)
        for rows in np.array_split(np.arange(number), number // 100):
            columns.take(rows)
        taken.append(anonymous_bytes() - before)
        del columns
    return (taken[2] - taken[1]) / (many - few)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--examples", type=int, default=20_000, help="of (c), in shards of a thousand")
    options = parser.parse_args()
    return_freed_memory()  # as the command line does
    lines = []

    def goal(name: str, figure: float, most: float, *, least: bool = False) -> None:
        is_reached = figure > most if least else figure <= most
        lines.append(f"{name}: {figure:.3f} (goal {most:g}) {'ok' if is_reached else 'short'}")

    scenes = Scenes().train(2_000, 0)
    shares, ratios = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shards").mkdir()
        files = list(pictures(scenes["image"][:250], 256))
        write_shard(folder / "shards" / "0.tar", files, options.images)
        for label, architecture in ARCHITECTURES.items():
            images = scenes["image"].repeat(architecture.side // 32, 1).repeat(architecture.side // 32, 2)
            print(label)
            share, used = overhead(architecture, scenes.with_columns(image=images), options.steps, options.rounds)
            first, again = loading(folder / "shards", architecture.side, options.images)
            print(f"  uses {used:.0f} samples a CPU s; loads {first:.0f} images, {again:.0f} of them again", flush=True)
            shares.append(share)
            ratios.append(first / used)
        small = list(pictures(scenes["image"][:20], 16))
        found = bytes_an_example(folder, small, options.examples // 10, options.examples)
    goal("training", max(shares), GOAL_OVERHEAD)
    goal("training_loading", min(ratios), GOAL_LOADING, least=True)
    goal("training_bytes_an_example", found, GOAL_BYTES)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
