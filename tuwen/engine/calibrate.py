"""`tuwen calibrate`: what a judge is good for, and what it would cost, before it rates a corpus.

A judge is asked about a sample of pairs as they are and with defects planted in them; one that gives both the same
scores cannot select anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.corpus.corpus import Corpus
from tuwen.engine.defects import DEFECTS, Counts, Planted, count, plant
from tuwen.engine.recipe import Recipe
from tuwen.errors import UsageError
from tuwen.stages.judging import Rating
from tuwen.stages.pair.judge import Judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS, MOST_ROWS = 200, 2_000
GROUPS = 8  # sampled pairs whose images are held at once
RESAMPLES = 1_000
NUM_BINS = 10
MIN_SCORED = 20  # pairs; below, an AUC says nothing
MOST_SILENT = 0.2  # share of questions without a score beyond which a judge is not trusted
# Guesses for the estimate before anything was asked.
BYTES_PER_TOKEN = 4  # of a text, English or Chinese
PIXELS_PER_TOKEN = 28 * 28  # of an image, as Qwen2-VL counts: https://arxiv.org/abs/2409.12191

Row = tuple[Planted, Rating]


@dataclass(frozen=True)
class Prices:
    """Money per million tokens, in whatever currency."""

    tokens_in: float | None = None
    tokens_out: float | None = None


def estimate(
    path: str | Path,
    recipe: Recipe | None = None,
    selection: str | None = None,
    *,
    prices: Prices | None = None,
    allow_code: bool = False,
) -> dict[str, Any]:
    """What rating a selection (or all that the stage would ask about) costs, from counts alone. Nothing is asked.

    Keys: `docs/json.md`. Tokens are guesses; hours are None, for nothing was timed.
    """
    corpus = Corpus.open(path)
    stage = _stage(corpus, recipe, allow_code)
    found = count(corpus, stage, selection, allow_code=allow_code)
    return {"judge": _described(stage), "selection": selection, "cost": _guessed(stage, found, prices or Prices())}


def calibrate(
    path: str | Path,
    recipe: Recipe | None = None,
    selection: str | None = None,
    *,
    rows: int = ROWS,
    seed: int = 0,
    prices: Prices | None = None,
    allow_code: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Ask the judge of `recipe` (default: the corpus' last) about `rows` pairs as they are and with defects.

    Keys: `docs/json.md`. Replies are kept in the corpus, so that neither a second run nor the build pays for them
    again. `UsageError` where the recipe has no stage pair.judge or the corpus no pair to ask about.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise UsageError(f"--rows must be from 1 to {MOST_ROWS:,}, got {rows:,}")
    corpus = Corpus.open(path)
    stage = _stage(corpus, recipe, allow_code)
    found = count(corpus, stage, selection, allow_code=allow_code)
    groups = plant(corpus, stage, selection, rows, seed, allow_code=allow_code)
    if not groups:
        raise UsageError(
            "there is no pair to ask about: check sources, minimum and share of pair.judge, and --selection"
        )
    rated: list[Row] = []
    for start in range(0, len(groups), GROUPS):
        asked = [each for group in groups[start : start + GROUPS] for each in group]
        images = dict(zip(ids := sorted({each.image_id for each in asked}), corpus.images(ids), strict=True))
        datas = [images[each.image_id] for each in asked]
        ratings = stage.rate(datas, [each.text for each in asked], corpus.folder("cache"))
        rated += zip(asked, ratings, strict=True)
        if progress is not None:
            progress(min(len(groups), start + GROUPS), len(groups))
    return _report(stage, selection, seed, found, rated, prices or Prices())


def _stage(corpus: Corpus, recipe: Recipe | None, allow_code: bool) -> Judge:
    recipe = recipe or Recipe.from_mapping(corpus.recipe(), allow_code=allow_code)
    found = next((stage for stage in recipe.stages if isinstance(stage, Judge)), None)
    if found is None:
        raise UsageError("the recipe has no stage pair.judge; add it with its model, or name another with --recipe")
    return found


def _described(stage: Judge) -> dict[str, Any]:
    address = stage.endpoint.base_url if stage.endpoint else None
    return {"model": stage.model, "base_url": address, "scale": list(stage.scale)}


def _guessed(stage: Judge, found: Counts, prices: Prices) -> dict[str, Any]:
    image = stage.side * stage.side * 4 / 3 / PIXELS_PER_TOKEN
    questions = len(stage.prompt.encode()) * found.num_questions + found.text_bytes
    tokens_in = image * found.num_questions + questions / BYTES_PER_TOKEN
    return _cost(found, "guessed", tokens_in, float(stage.max_tokens * found.num_questions), None, prices)


def _measured(stage: Judge, found: Counts, rated: Sequence[Row], prices: Prices) -> dict[str, Any]:
    asked = [rating for _, rating in rated if rating.seconds is not None]
    guessed = _guessed(stage, found, prices)

    def whole(values: Sequence[float | None], otherwise: float | None) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) * found.num_questions if known else otherwise

    counted = any(rating.tokens_in is not None for rating in asked)
    tokens_in = whole([rating.tokens_in for rating in asked], guessed["tokens_in"])
    tokens_out = whole([rating.tokens_out for rating in asked], guessed["tokens_out"])
    seconds = whole([rating.seconds for rating in asked], None)
    return _cost(found, "measured" if counted else "guessed", tokens_in or 0.0, tokens_out or 0.0, seconds, prices)


def _cost(
    found: Counts, basis: str, tokens_in: float, tokens_out: float, seconds: float | None, prices: Prices
) -> dict[str, Any]:
    money = None
    if prices.tokens_in is not None or prices.tokens_out is not None:
        money = (tokens_in * (prices.tokens_in or 0) + tokens_out * (prices.tokens_out or 0)) / 1e6
    return {
        "num_pairs": found.num_pairs,
        "num_questions": found.num_questions,
        "tokens": basis,
        "tokens_in": round(tokens_in),
        "tokens_out": round(tokens_out),
        "seconds_per_question": seconds / found.num_questions if seconds and found.num_questions else None,
        "hours": None if seconds is None else seconds / 3600,
        "money": money,
    }


def _report(
    stage: Judge, selection: str | None, seed: int, found: Counts, rated: Sequence[Row], prices: Prices
) -> dict[str, Any]:
    originals = {row.pair_id: rating for row, rating in rated if row.defect is None}
    defects = [_compared(name, originals, rated, seed) for name in DEFECTS]
    silent = _silent([rating for _, rating in rated])
    verdict, reasons = _verdict(defects, silent)
    scores = [rating.score for rating in originals.values() if rating.score is not None]
    return {
        "judge": _described(stage),
        "selection": selection,
        "seed": seed,
        "verdict": verdict,
        "reasons": reasons,
        "num_sampled": len(originals),
        "num_asked": sum(rating.seconds is not None for _, rating in rated),
        "share_without_score": silent,
        "errors": dict(sorted(Counter(rating.error for _, rating in rated if rating.error).items())),
        "mean_of_originals": float(np.mean(scores)) if scores else None,
        "defects": defects,
        "bins": _bins(stage.scale, rated),
        "cost": _measured(stage, found, rated, prices),
    }


def _compared(defect: str, originals: dict[str, Rating], rated: Sequence[Row], seed: int) -> dict[str, Any]:
    """Originals against the same pairs with a defect, where both have a score."""
    ratings = [(originals[row.pair_id], rating) for row, rating in rated if row.defect == defect]
    both = [(a.score, b.score) for a, b in ratings if a.score is not None and b.score is not None]
    scored = np.array(both, np.float64).reshape(-1, 2)
    is_enough = len(scored) >= MIN_SCORED
    auc = auc_with_interval(scored[:, 0], scored[:, 1], seed) if is_enough else (None, None, None)
    low = auc[1]
    return {
        "defect": defect,
        "num_pairs": len(ratings),
        "num_scored": len(scored),
        "auc": auc[0],
        "auc_low": low,
        "auc_high": auc[2],
        "mean_original": float(scored[:, 0].mean()) if len(scored) else None,
        "mean_defective": float(scored[:, 1].mean()) if len(scored) else None,
        "share_without_score": _silent([rating for _, rating in ratings]),
        "is_seen": None if low is None else low > 0.5,
    }


def auc_with_interval(better: NDArray[Any], worse: NDArray[Any], seed: int) -> tuple[float, float, float]:
    """Share of (better, worse) in which the better one scores higher, ties half; with its 95 % bootstrap interval.

    Row i of both is of the same pair, so that pairs are drawn, not scores (percentiles of 1,000 resamples).
    """
    wins = (better[:, None] > worse[None, :]) + 0.5 * (better[:, None] == worse[None, :])
    size = len(better)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(np.float64)
    resampled = np.einsum("rn,rn->r", drawn @ wins, drawn) / size**2
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(wins.mean()), float(low), float(high)


def _verdict(defects: Sequence[dict[str, Any]], silent: float | None) -> tuple[str, list[str]]:
    """trusted, partly (does not see some of the defects) or untrusted, with the reasons."""
    reasons = []
    for each in defects:
        if each["is_seen"] is None:
            reasons.append(
                f"{each['defect']}: only {each['num_scored']} pairs could be compared, {MIN_SCORED} are needed"
            )
        elif not each["is_seen"]:
            interval = f"{each['auc_low']:.2f} to {each['auc_high']:.2f}"
            reasons.append(f"{each['defect']}: not told from the originals, AUC {each['auc']:.2f} ({interval})")
    is_silent = silent is not None and silent > MOST_SILENT
    if is_silent:
        reasons.insert(0, f"{silent:.0%} of the questions gave no score")
    seen = {each["defect"]: each["is_seen"] for each in defects}
    if is_silent or not seen["wrong_text"]:
        return "untrusted", reasons
    return "partly" if False in seen.values() else "trusted", reasons


def _silent(ratings: Sequence[Rating]) -> float | None:
    """Share of the questions that were asked and gave no score."""
    asked = [rating for rating in ratings if rating.error not in ("no_image", "no_text")]
    return sum(rating.score is None for rating in asked) / len(asked) if asked else None


def _bins(scale: tuple[float, float], rated: Sequence[Row]) -> list[dict[str, Any]]:
    """Per tenth of the scale: how many were originals, and what a threshold at its lower end would keep of both."""
    low, high = scale
    scored = [(row.defect is None, rating.score) for row, rating in rated if rating.score is not None]
    is_original = np.array([original for original, _ in scored], dtype=bool)
    places = np.array([(score - low) / (high - low) * NUM_BINS for _, score in scored], np.float64)
    places = places.astype(np.int64).clip(0, NUM_BINS - 1)
    bins = []
    for number in range(NUM_BINS):
        here, above = places == number, places >= number
        num = int(here.sum())
        bins.append(
            {
                "low": low + (high - low) * number / NUM_BINS,
                "high": low + (high - low) * (number + 1) / NUM_BINS,
                "num": num,
                "share_originals": int((here & is_original).sum()) / num if num else None,
                "originals_kept": float(above[is_original].mean()) if is_original.any() else None,
                "defects_kept": float(above[~is_original].mean()) if (~is_original).any() else None,
            }
        )
    return bins
