"""Near-duplicates: MinHash beside datatrove's, a million captions, and perceptual hashes against brute force.

    python benchmarks/near_duplicates.py [--captions 1000000] [--hashes 100000] [--no-peer]

Texts: 18,000 documents of 20 to 60 random words and 2,000 of them again with one word changed. Both sides take word
5-grams, 14 bands of 8 minima and 64-bit hashes, and neither verifies (tuwen: `threshold: 0`; the figure with
verification at .5 stands beside). tuwen's figure goes from texts in Arrow to the clusters' state; the whole
`tuwen build`, from a Parquet file to columns, is printed too. datatrove 0.10.1 runs its four steps from JSONL to JSONL
in `.venv-datatrove`, which the first run makes. CPU counts from after the imports, in processes of their own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PEER = Path(__file__).parents[1] / ".venv-datatrove"
PEER_PACKAGES = ["datatrove[io,processing]==0.10.1", "spacy"]
GOAL_TEXT_S, GOAL_MEMORY_MB, GOAL_IMAGES_S = 2.0, 4_096.0, 30.0
NUM_DOCUMENTS, NUM_PLANTED = 18_000, 2_000
EQUAL = {"ngram": 5, "bands": 14, "rows": 8, "same_numbers": False}

PEER_CODE = """
import json, resource, sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
def cpu():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)
folder, start, config = sys.argv[1], cpu(), MinhashConfig()
def run(name, pipeline, tasks=1):
    LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/log_{name}").run()
run("sign", [JsonlReader(f"{folder}/in"), MinhashDedupSignature(output_folder=f"{folder}/sig", config=config)])
run("bucket", [MinhashDedupBuckets(f"{folder}/sig", f"{folder}/buckets", config=config)], config.num_buckets)
run("cluster", [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/rm", config=config)])
run("filter", [JsonlReader(f"{folder}/in"), MinhashDedupFilter(f"{folder}/rm"), JsonlWriter(f"{folder}/out")])
json.dump({"cpu_s": cpu() - start}, open(f"{folder}/result.json", "w"))
"""


def documents() -> list[str]:
    """Random words; the last 2,000 texts are the first ones with one word changed."""
    chance = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(20_000)]
    texts = [" ".join(chance.choices(words, k=chance.randint(20, 60))) for _ in range(NUM_DOCUMENTS)]
    for number in range(NUM_PLANTED):
        edited = texts[number].split()
        edited[chance.randrange(len(edited))] = "CHANGED"
        texts.append(" ".join(edited))
    return texts


def captions(number: int) -> list[str]:
    """Captions of 4 to 20 words, Zipfian; a tenth stands there before, a tenth with one word more or less."""
    chance = np.random.default_rng(1)
    words = np.array([f"w{rank:x}" for rank in range(50_000)])
    texts: list[str] = []
    while len(texts) < number:
        lengths = chance.integers(4, 21, 10_000)
        drawn = words[np.minimum(chance.zipf(1.2, int(lengths.sum())), len(words)) - 1]
        texts += [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
        again = chance.integers(0, len(texts), 2_500)
        texts += [texts[place] for place in again[:1_250]]
        texts += [texts[place].rpartition(" ")[0] for place in again[1_250:1_875]]
        texts += [texts[place] + " photo" for place in again[1_875:]]
    return texts[:number]


def write(path: Path, texts: list[str]) -> None:
    urls = [f"http://a.test/{number}.jpg" for number in range(len(texts))]
    pq.write_table(pa.table({"url": urls, "caption": texts}), path)


def alone(call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What a call returns, from a fresh process, and that process' peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        process = multiprocessing.get_context("spawn").Process(target=_reported, args=(result, call, arguments))
        process.start()
        process.join()
        assert process.exitcode == 0
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def _reported(result: Path, call: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    found = call(*arguments)
    result.write_text(json.dumps({**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def clusters(path: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds from Arrow to the state, and how many of the planted texts are with their originals."""
    import rustworkx  # noqa: F401

    from tuwen.stages.dedup.clusters import columns_of
    from tuwen.stages.dedup.minhash import MinHash

    texts = pq.read_table(path, columns=["caption"])["caption"].combine_chunks().cast(pa.string())
    ids = pa.array([f"{number:032x}" for number in range(len(texts))])
    batches = [(ids[start : start + 8_192], texts[start : start + 8_192]) for start in range(0, len(ids), 8_192)]
    start = time.process_time()
    state = MinHash(**parameters).state(batches)
    cpu_s = time.process_time() - start
    writes = pa.schema([("cluster", pa.string()), ("size", pa.int32())])
    cluster = columns_of(state, ids, writes)["cluster"].to_numpy(zero_copy_only=False)
    found = int((cluster[:NUM_PLANTED] == cluster[NUM_DOCUMENTS : NUM_DOCUMENTS + NUM_PLANTED]).sum())
    return {"cpu_s": cpu_s, "found": found, "num_clusters": len(set(cluster))}


def build(folder: Path, path: Path, stage: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds and peak memory of `tuwen build` from a Parquet file to the columns."""
    recipe = {
        "name": "list",
        "sources": [{"url_list": {"paths": [str(path)], "columns": {"url": "url", "text": "caption"}}}],
        "stages": [stage],
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    code = "import sys; from tuwen.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "build", str(folder / "recipe.yaml"), "--corpus", str(folder / "corpus")]
    subprocess.run([*command, "--workers", "2"], check=True, capture_output=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu_s": used.ru_utime + used.ru_stime, "children_mb": used.ru_maxrss / 1024}


def peer(folder: Path, texts: list[str]) -> dict[str, Any]:
    """datatrove over the same texts."""
    if not (PEER / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(PEER / "bin" / "pip"), "install", "--quiet", *PEER_PACKAGES], check=True)
    (folder / "in").mkdir()
    rows = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts)]
    (folder / "in" / "texts.jsonl").write_text("\n".join(rows) + "\n")
    subprocess.run([str(PEER / "bin" / "python"), "-c", PEER_CODE, str(folder)], check=True, capture_output=True)
    kept = set()
    for file in sorted((folder / "out").glob("*.gz")):
        with gzip.open(file, "rt") as lines:
            kept |= {int(json.loads(line)["id"]) for line in lines}
    found = sum(not {number, number + NUM_DOCUMENTS} <= kept for number in range(NUM_PLANTED))
    return {**json.loads((folder / "result.json").read_text()), "found": found}


def hashes(number: int) -> dict[str, Any]:
    """CPU seconds for all pairs of hashes within 6 bits; a tenth are others with up to 8 bits turned."""
    from tuwen.stages.dedup.hamming import components_within

    chance = np.random.default_rng(2)
    drawn = chance.integers(0, 2**64, number, dtype=np.uint64)
    near = drawn[number // 10 : 2 * (number // 10)].copy()
    for _ in range(8):
        near ^= np.uint64(1) << chance.integers(0, 64, len(near)).astype(np.uint64)
    drawn[: len(near)] = near
    start = time.process_time()
    labels = components_within(drawn, 6)
    cpu_s = time.process_time() - start
    sample = chance.choice(number, min(number, 2_000), replace=False)
    for row in [*sample.tolist(), *range(200)]:
        near = np.flatnonzero(np.bitwise_count(drawn ^ drawn[row]) <= 6)
        assert (labels[near] == labels[row]).all()
        assert len(near) > 1 or (labels == labels[row]).sum() == 1
    return {"cpu_s": cpu_s, "num_linked": int(np.count_nonzero(labels != np.arange(number)))}


def dense(number: int) -> dict[str, Any]:
    """CPU seconds for different hashes that lie within 5 bits of one: a cluster in which most pairs are near."""
    from tuwen.stages.dedup.hamming import components_within

    chance = np.random.default_rng(3)
    near = np.zeros(2 * number, dtype=np.uint64)
    for _ in range(5):
        near ^= np.uint64(1) << chance.integers(0, 64, len(near)).astype(np.uint64)
    near = chance.permutation(np.unique(near))[:number]
    start = time.process_time()
    labels = components_within(near, 6)
    cpu_s = time.process_time() - start
    assert not labels.any()
    return {"cpu_s": cpu_s, "number": len(near)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--hashes", type=int, default=100_000)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("texts", "captions", "peer"):
            (folder / part).mkdir()
        texts = documents()
        write(folder / "texts.parquet", texts)
        plain = alone(clusters, folder / "texts.parquet", {**EQUAL, "threshold": 0.0})
        verified = alone(clusters, folder / "texts.parquet", {**EQUAL, "threshold": 0.5})
        stage = {"dedup.text": {**EQUAL, "threshold": 0.0}}
        built = alone(build, folder / "texts", folder / "texts.parquet", stage)
        print(f"{len(texts)} documents, {NUM_PLANTED} planted: CPU-s, planted found")
        print(f"  tuwen, Arrow to clusters       {plain['cpu_s']:6.2f} {plain['found']:6d}")
        print(f"  tuwen, verified at .5          {verified['cpu_s']:6.2f} {verified['found']:6d}")
        print(f"  tuwen build, Parquet to columns {built['cpu_s']:5.2f}")
        if not options.no_peer:
            other = peer(folder / "peer", texts)
            print(f"  datatrove 0.10.1               {other['cpu_s']:6.2f} {other['found']:6d}")
            print(f"  ratio {other['cpu_s'] / plain['cpu_s']:.1f}")
        write(folder / "captions.parquet", captions(options.captions))
        searched = alone(clusters, folder / "captions.parquet", defaults())
        large = alone(build, folder / "captions", folder / "captions.parquet", "dedup.text")
        print(f"{options.captions} captions, {searched['num_clusters']} clusters")
        print(f"  Arrow to clusters: {searched['cpu_s']:.1f} CPU-s, peak {searched['peak_mb']:.0f} MB")
        print(f"  tuwen build, 2 workers: {large['cpu_s']:.1f} CPU-s, largest process {large['children_mb']:.0f} MB")
        near = alone(hashes, options.hashes)
        print(
            f"{options.hashes} hashes: {near['num_linked']} linked within 6 bits, equal to brute force on 2,200 of them"
        )
        one = alone(dense, options.hashes)
        print(f"{one['number']} hashes of one dense cluster: {one['cpu_s']:.1f} CPU-s")
    figures = [
        ("near_duplicates_memory", max(searched["peak_mb"], large["children_mb"]), GOAL_MEMORY_MB, "MB"),
        ("near_duplicates_images", max(near["cpu_s"], one["cpu_s"]), GOAL_IMAGES_S, "s"),
        ("near_duplicates_text", plain["cpu_s"], GOAL_TEXT_S, "s"),
    ]
    for label, figure, goal, unit in figures:
        print(f"{label}: {figure:.{1 if unit == 's' else 0}f} {unit} (goal {goal:.0f}) {verdict(figure <= goal)}")


def defaults() -> dict[str, Any]:
    """The parameters of `dedup.text` for captions."""
    from dataclasses import asdict

    from tuwen.stages.dedup.text import Text

    return asdict(Text())


def verdict(reached: bool) -> str:
    return "ok" if reached else "short"


if __name__ == "__main__":
    main()
