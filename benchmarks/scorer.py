"""The bootstrapped scorer: what it tells apart, and whether what it keeps is worth more (`make bench NAME=scorer`).

(a) 4,000 drawn scenes (benchmarks/scenes.py), 40 % of them with the caption of another, become a corpus; a scorer is
    trained on all of it, wrong captions included, and the stages score every pair by the model that has not seen its
    image. AUC of true against swapped captions. A caption that happens to be true of the scene counts as true.
(b) The pairs that the selection `strong` keeps of the shipped crawl, and of `--crawl FOLDER` with WARC files, against
    wrong texts of the same host: AUC with folds by pair (the image may have been seen with another text) and by image
    (it has not), beside what caption source, text length and host tell. Bootstrap intervals of 95 % over images.
(c) From the scored scenes the better half, and a random half, train a smaller model each, with the same steps; mean
    reciprocal rank of 400 new scenes among their captions, both ways, for several seeds.

Averaging of weights and the share of hard pairs that is left out were chosen on another draw of scenes, with one fold;
nothing is tuned on what is printed. The last lines compare with the goals.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scenes import Scene

import tuwen
from tuwen.corpus.corpus import Corpus
from tuwen.engine.local import Workers
from tuwen.engine.progress import Progress
from tuwen.engine.recipe import Recipe
from tuwen.engine.scorer_pairs import read_pairs
from tuwen.engine.train_scorer import train_scorer
from tuwen.models.contrastive import BATCH, Examples, deterministic, fit, image_embeddings, text_embeddings
from tuwen.models.discrimination import auc, auc_interval, bootstrap
from tuwen.models.scorer import SIDE, Shape, fold_of, new_network, tokens_of, train_tokenizer
from tuwen.models.scorer_training import Judged, Lesson, default_steps, train_fold
from tuwen.stages.pair.tier import WRITTEN_FOR

ROOT = Path(__file__).parents[1]
WRONG = 0.4
SMALL = Shape(width=64, layers=2, text_width=64, text_layers=1)
STEPS = 200  # of the smaller model
GOAL_SCENES, GOAL_ABOVE = 0.95, 0.05


@dataclass(frozen=True)
class Drawn:
    """Scenes, their pictures (uint8, small) and captions, and which captions are true."""

    scenes: list[Scene]
    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    captions: list[str]
    is_true: np.ndarray[Any, np.dtype[np.bool_]]

    @classmethod
    def of(cls, number: int, seed: int, wrong: float, files: list[bytes] | None = None) -> Drawn:
        """`files` gets the pictures as PNG."""
        rng = random.Random(seed)
        scenes = [Scene.drawn(rng) for _ in range(number)]
        shown, pixels = list(scenes), []
        swapped = rng.sample(range(number), round(wrong * number))
        for place, other in zip(swapped, [*swapped[1:], *swapped[:1]], strict=True):
            shown[place] = scenes[other]
        captions = [scene.caption(rng.choice(["en", "zh"]), rng) for scene in shown]
        for scene in scenes:
            picture = scene.picture(rng)
            pixels.append(np.asarray(picture.resize((SIDE, SIDE), 3)))
            if files is not None:
                stream = io.BytesIO()
                picture.save(stream, "PNG", compress_level=1)
                files.append(stream.getvalue())
        is_true = np.array([scene == other for scene, other in zip(scenes, shown, strict=True)])
        return cls(scenes, np.stack(pixels), captions, is_true)


def scored_scenes(folder: Path, drawn: Drawn, files: list[bytes], workers: int) -> np.ndarray[Any, Any]:
    """Scores of all scenes with their captions, as a build gives them."""
    rows = {"image": files, "text": drawn.captions, "number": list(range(len(files)))}
    pq.write_table(pa.table(rows), folder / "scenes.parquet")
    recipe: dict[str, Any] = {
        "name": "scenes",
        "description": "Drawn scenes.",
        "sources": [{"parquet": {"paths": [str(folder / "scenes.parquet")]}}],
        "stages": ["pair.resolve", {"pair.given": {"columns": {"number": "int64"}}}],
        "selections": {"all": {"unit": "pair", "steps": [{"rule": "image_id is not null"}]}},
    }
    tuwen.build(Recipe.from_mapping(recipe), folder / "corpus", quiet=True)
    started = time.perf_counter()
    found = train_scorer(folder / "corpus", "all", folder / "scorer", workers=workers, progress=Progress())
    print(f"scenes: {found['num_pairs']} pairs, {found['steps']} steps a fold, {time.perf_counter() - started:.0f} s; ")
    print(f"  held out, against wrong captions: {found['verdict']['reason']}")
    for fold, curve in enumerate(found["curves"]):
        print(f"  fold {fold}: " + ", ".join(f"{each['step']}: {each['loss']:.2f} {each['auc']:.3f}" for each in curve))
    model = {"model": str(folder / "scorer"), "despite_verdict": True}
    recipe["stages"] += [{"image.scorer": model}, {"pair.scorer": model}]
    tuwen.build(Recipe.from_mapping(recipe), folder / "corpus", workers=workers, quiet=True)
    table = Corpus.open(folder / "corpus").table("pairs", ["number", "scorer_similarity"])
    scores = np.full(len(files), np.nan)
    scores[table["number"].to_numpy()] = table["scorer_similarity"].to_numpy()
    return scores


def retrieval(drawn: Drawn, rows: np.ndarray[Any, Any], test: Drawn, steps: int, seed: int) -> float:
    """Mean reciprocal rank of the test scenes by a small model that was trained on `rows` of `drawn`."""
    texts = sorted({drawn.captions[row] for row in rows})
    places = {text: place for place, text in enumerate(texts)}
    tokenizer = train_tokenizer(texts, SMALL)
    numbers = np.arange(len(rows))
    text = np.array([places[drawn.captions[row]] for row in rows])
    examples = Examples(drawn.pixels[rows], tokens_of(tokenizer, texts), tokenizer.eos_token_id, numbers, text, numbers)
    with deterministic(seed):
        network = new_network(SMALL, tokenizer)
    fit(network, examples, numbers, steps=steps, seed=seed, batch_size=BATCH)
    all_of = np.arange(len(test.captions))
    clean = Examples(test.pixels, tokens_of(tokenizer, test.captions), tokenizer.eos_token_id, all_of, all_of, all_of)
    cosines = image_embeddings(network, clean, all_of) @ text_embeddings(network, clean, all_of).T
    return float(np.mean([(1 / (1 + (each > np.diag(each)[:, None]).sum(1))).mean() for each in (cosines, cosines.T)]))


def distinct(test: Drawn, number: int) -> Drawn:
    """The first scenes that differ, so that one caption is right."""
    first = {scene: place for place, scene in reversed(list(enumerate(test.scenes)))}
    rows = np.array(sorted(first.values())[:number])
    chosen = [test.scenes[row] for row in rows], test.pixels[rows], [test.captions[row] for row in rows]
    return Drawn(*chosen, test.is_true[rows])


def arm(task: tuple[Drawn, np.ndarray[Any, Any], Drawn, int, int]) -> float:
    return retrieval(*task)


def halves(
    drawn: Drawn, scores: np.ndarray[Any, Any], seeds: int, steps: int, workers: int
) -> list[tuple[float, float]]:
    """For each seed the retrieval of a model of the better half and of one of a random half."""
    test = distinct(Drawn.of(1_200, 77, 0.0), 400)
    size = len(scores) // 2
    better = np.sort(np.argsort(-scores, kind="stable")[:size])
    print(f"captions that are true: {drawn.is_true.mean():.1%} of all, {drawn.is_true[better].mean():.1%} of the half")
    tasks = []
    for seed in range(seeds):
        chance = np.sort(np.random.default_rng(seed).permutation(len(scores))[:size])
        tasks += [(drawn, better, test, steps, seed), (drawn, chance, test, steps, seed)]
    with Workers(workers) as pool:
        found = list(pool.ordered(arm, tasks))
    return list(zip(found[::2], found[1::2], strict=True))


def fold_task(task: tuple[Lesson, int, int]) -> Judged:
    lesson, number, steps = task
    return train_fold(lesson, number, seed=0, shape=Shape(), steps=steps, batch_size=BATCH)[0]


def real_pairs(folder: Path, crawl: str, name: str, max_pairs: int, most_steps: int, workers: int) -> float:
    """Prints AUCs by pair and by image; returns the difference, by image, to the best baseline."""
    overrides = [f"sources=[{{warc: {{paths: ['{crawl}']}}}}]"]
    recipe = Recipe.load(ROOT / "examples" / "docs-crawl.yaml", overrides)
    tuwen.build(recipe, folder / name, workers=workers, quiet=True)
    corpus = Corpus.open(folder / name).pinned()
    pairs = read_pairs(corpus, "strong", folder / f"{name}.npy", max_pairs=max_pairs, seed=0)
    sources = dict(corpus.scan("pairs", ["pair_id", "text_source"]).read_all().to_pandas().itertuples(index=False))
    pixels = np.load(folder / f"{name}.npy")
    shares = {host: pairs.hosts.count(host) / len(pairs.hosts) for host in set(pairs.hosts)}
    features = {
        "caption source": [WRITTEN_FOR.get(sources[pair], 0.0) for pair in pairs.pair_ids],
        "text length": [float(len(pairs.texts[place])) for place in pairs.text],
        "host prior": [shares[host] for host in pairs.hosts],
    }
    steps = min(most_steps, default_steps(len(pairs.pair_ids) // 2, BATCH))
    print(f"{name}: {len(pairs.pair_ids)} pairs, {len(pairs.image_ids)} images, {steps} steps a fold")
    above = 0.0
    by_image = np.array([fold_of(key, 2, 0) for key in pairs.keys])[pairs.image]
    by_pair = np.array([fold_of(pair, 2, 0) for pair in pairs.pair_ids])
    for regime, fold in (("by pair", by_pair), ("by image", by_image)):
        lesson = Lesson(pixels, pairs.image, pairs.image, pairs.text, pairs.texts, pairs.hosts, fold)
        with Workers(workers) as pool:
            judged = Judged.together(list(pool.ordered(fold_task, [(lesson, 0, steps), (lesson, 1, steps)])))
        whole, new = judged.interval(0), judged.interval_of_new(0)
        print(f"  {regime}: AUC {told(whole)}; texts that the model never read {told(new)}")
        _, owners = np.unique(judged.owner, return_inverse=True)
        draws = bootstrap(judged.right, judged.wrong, owners, 0)
        best = (0.0, "", 0.0, 0.0)
        for feature, values in features.items():
            right, wrong = np.array(values)[judged.rows], np.array(values)[judged.others]
            if auc(right, wrong) < 0.5:  # whichever way it tells more
                right, wrong = -right, -wrong
            print(f"    {feature}: AUC {told(auc_interval(right, wrong, judged.owner, 0))}")
            low, high = np.quantile(draws - bootstrap(right, wrong, owners, 0), [0.025, 0.975])
            best = max(best, (auc(right, wrong), feature, low, high))
        above = whole.auc - best[0]
        print(f"    above the best of them, {best[1]}: {above:+.3f} [{best[2]:+.3f}, {best[3]:+.3f}]", flush=True)
    return above


def told(found: Any) -> str:
    return f"{found.auc:.3f} [{found.low:.3f}, {found.high:.3f}] of {found.num_pairs}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crawl", metavar="FOLDER", help="a folder with WARC files, measured as (b) too")
    parser.add_argument("--parts", default="abc")
    parser.add_argument("--scenes", type=int, default=4_000)
    parser.add_argument("--max-pairs", type=int, default=8_000, help="of a crawl")
    parser.add_argument("--most-steps", type=int, default=600, help="of a fold in (b)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    lines: list[str] = []

    def goal(name: str, figure: float, least: float) -> None:
        lines.append(f"{name}: {figure:.3f} (goal {least:g}) {'ok' if figure >= least else 'short'}")

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if set("ac") & set(options.parts):
            files: list[bytes] = []
            drawn = Drawn.of(options.scenes, 1, WRONG, files)
            scores = scored_scenes(folder, drawn, files, options.workers)
            found = auc(scores[drawn.is_true], scores[~drawn.is_true])
            goal("scorer_scenes_auc", found, GOAL_SCENES)
            print(lines[-1], flush=True)
        if "c" in options.parts:
            pairs = halves(drawn, scores, options.seeds, STEPS, options.workers)
            for seed, (better, chance) in enumerate(pairs):
                print(
                    f"seed {seed}: mean reciprocal rank {better:.3f} of the better half, {chance:.3f} of a random one"
                )
            goal("scorer_half_gain", float(np.mean([better - chance for better, chance in pairs])), 0.0)
            print(lines[-1], flush=True)
        crawls = {"shipped": str(ROOT / "tuwen" / "demo" / "docs-crawl.warc.gz")}
        crawls |= {"given": f"{options.crawl}/*.warc.gz"} if options.crawl else {}
        for name, crawl in crawls.items() if "b" in options.parts else ():
            measure = partial(real_pairs, folder, crawl, name, options.max_pairs, options.most_steps)
            goal(f"scorer_{name}_above_baseline", measure(options.workers), GOAL_ABOVE)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
