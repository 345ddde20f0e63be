"""Which of several releases trains the better model: claims made from them, one a scale, and the answer over scales."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tuwen.errors import UsageError
from tuwen.proof.claim import Claim
from tuwen.proof.method import part_of
from tuwen.proof.results import Result
from tuwen.proof.run import Precision, results_of
from tuwen.proof.verdict import difference
from tuwen.proof.worlds.release.pairs import pairs_of, told_skipped
from tuwen.proof.worlds.releases import Releases

UNTRAINED = "untrained"
LEAST_ITEMS = 50  # test pairs below which nothing is measured
SMALLEST_EFFECT = 0.02
# Two models in one network, as WuDaoMM tested its data: towers that understand, and one that draws codes after texts.
# Convolutions and attention learn some thousand real pairs by heart and little about others; these towers do not.
METHOD: Mapping[str, Any] = {
    "architecture": {
        "image": {"kind": "gradients", "width": 256},
        "text": {"kind": "bag", "width": 256},
        "language": {"width": 64, "layers": 1},
        "dim": 64,
        "context": 32,
        "sequence": 48,
        "codes": {"number": 128, "patch": 8},
    },
    "objectives": [{"contrast": {"group": "same"}}, {"next_token": {"sequence": "drawing"}}],
    "views": [{"shifted": {"pixels": 2}}, "drawn"],
    "learning_rate": 0.003,
}


@dataclass(frozen=True)
class Contest:
    """Releases by folder, and how they are compared.

    `test`: folder of a release that none of them overlaps with. `scales`: factors of `samples`, the pairs that a model
    sees; all models see equally many, drawn from equally many distinct pairs. `drop_overlap`: leave out of training
    what the test shows, instead of refusing. `method`: as in a claim.
    """

    releases: Sequence[str]
    test: str
    scales: Sequence[float] = (1.0, 4.0, 16.0)
    seeds: Sequence[int] = (11, 12, 13, 14, 15)
    samples: int = 16_000
    batch_size: int = 128
    examples: int | None = None  # distinct pairs; none: as many as the smallest release has
    test_pairs: int = 1_000
    side: int = 32
    drop_overlap: bool = False
    method: Mapping[str, Any] = field(default_factory=lambda: METHOD)

    def __post_init__(self) -> None:
        if len(self.releases) < 2:
            raise UsageError("a comparison needs two releases and more")
        if not self.scales or min(self.scales) <= 0:
            raise UsageError(f"scales are {list(self.scales)}; give numbers above 0, such as 1,4,16")
        if len(set(self.scales)) < len(self.scales):
            raise UsageError(f"scales are {list(self.scales)}; give each once")
        if self.samples * min(self.scales) < 1:
            raise UsageError(f"{self.samples} samples at the scale {min(self.scales):g} are none; give more of either")
        if self.examples is not None and self.examples < self.batch_size:
            raise UsageError(f"--examples is {self.examples}; give {self.batch_size}, a batch, at least")

    @property
    def paths(self) -> dict[str, str]:
        """Name → folder; a release is called as its folder is."""
        named = {_name(path): path for path in self.releases}
        if len(named) < len(self.releases):
            raise UsageError(f"releases are called as their folders, which have to differ: {', '.join(self.releases)}")
        if UNTRAINED in named:
            raise UsageError(
                f"{UNTRAINED} is what the network is called that no release has trained; rename the folder"
            )
        return named

    def notes(self) -> list[str]:
        """What to know before anything trains: how much there is of everything."""
        read = self._world()
        told = []
        for name in self.paths:
            pairs = read.training(name)
            told.append(f"{name}: {len(pairs):,} pairs of {len(set(pairs.image.tolist())):,} images may train")
        test = read.test(self.test_pairs, 0)
        images = len(set(test["same"].tolist()))
        told.append(f"test: {test.num_rows:,} pairs of {images:,} images")
        if images < LEAST_ITEMS:
            told.append(f"fewer than {LEAST_ITEMS} images test: expect intervals that say nothing")
        return [*told, *self.left_out()]

    def skipped(self) -> dict[str, dict[str, int]]:
        """By folder, what could not be read, counted; nothing of those that were read whole."""
        found = {path: pairs_of(path, self.side).skipped for path in (*self.paths.values(), self.test)}
        return {path: told for path, told in found.items() if told}

    def left_out(self) -> list[str]:
        """The same, a sentence a folder."""
        return [f"{path}: left out, {told_skipped(told)}" for path, told in self.skipped().items()]

    def _world(self) -> Releases:
        return Releases(self.paths, self.test, side=self.side, drop_overlap=self.drop_overlap)

    def claims(self) -> list[Claim]:
        """A claim for each scale, the smallest first."""
        read = self._world()
        world = {name: getattr(read, name) for name in ("paths", "test_path", "side", "drop_overlap")}
        shown = {name: number for name in self.paths if (number := read.num_shown(name))}
        if shown and not self.drop_overlap:
            told = ", ".join(f"{number} images of {name}" for name, number in shown.items())
            raise UsageError(
                f"the test shows {told}: what was trained on them proves nothing. Take another test, or leave these "
                "images out of training with --drop-overlap"
            )
        sizes = {name: len(read.training(name)) for name in self.paths}
        size = min([*sizes.values(), *([self.examples] if self.examples else [])])
        if size < self.batch_size:
            told = ", ".join(f"{name} {number}" for name, number in sizes.items())
            raise UsageError(f"pairs that may train: {told}; each release needs {self.batch_size}, a batch, at least")
        evaluations = self._evaluations(read.test(self.test_pairs, 0))
        arms = {name: {**self.method, "world": {"use": name}} for name in self.paths}
        first = next(iter(self.paths))
        few = {"samples": 1e-9, "matched": "a network that has seen one batch: what nothing learnt comes to"}
        arms[UNTRAINED] = {**self.method, "world": {"use": first}, **few}
        comparisons = [
            {"arm": one, "against": two, "evaluation": evaluation, "smallest_effect": SMALLEST_EFFECT}
            for evaluation in evaluations
            for one, two in combinations(self.paths, 2)
        ]
        return [
            Claim.from_mapping(
                {
                    "name": f"releases-at-{scale:g}".replace(".", "-"),
                    "statement": f"Which of {', '.join(self.paths)} trains the best model, at {scale:g} × the budget?",
                    "mark": "none",
                    "world": {"releases": world},
                    "budget": {
                        "examples": size,
                        "samples": round(self.samples * scale),
                        "batch_size": self.batch_size,
                        "test": self.test_pairs,
                    },
                    "seeds": list(self.seeds),
                    "arms": arms,
                    "evaluations": evaluations,
                    "comparisons": comparisons,
                }
            )
            for scale in sorted(self.scales)
        ]

    def _evaluations(self, test: Any) -> dict[str, Any]:
        shared = {"same": "same", "group": "same"}
        found: dict[str, Any] = {"all": {"retrieval": shared}}
        for name, column in {"english": "is_en", "chinese": "is_zh", "tail": "is_tail"}.items():
            if test[column].sum() >= LEAST_ITEMS:
                found[name] = {"retrieval": {**shared, "where": column}}
        texts = {tuple(each) for each in zip(test["site"].tolist(), test["text"], strict=True)}
        has_others = len(texts) > len({site for site, _ in texts})  # a text beside the true one, of the same site
        if self.method.get("architecture", {}).get("codes") and has_others:
            found["drawing"] = {"bits_saved": {"within": "site", "group": "same"}}
        return found


@dataclass(frozen=True)
class Pair:
    """Two releases in one evaluation: the difference at each scale, and what it comes to."""

    one: str
    two: str
    evaluation: str
    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @property
    def answer(self) -> str:
        """`NAME better`, `scale-unstable` or `no difference found`."""
        if any(low > 0 for low in self.lows) and any(high < 0 for high in self.highs):  # sure of both orders
            return "scale-unstable"
        if not (self.lows[-1] > 0 or self.highs[-1] < 0):
            return "no difference found"
        return f"{self.one if self.means[-1] > 0 else self.two} better"


@dataclass(frozen=True)
class Answer:
    """What a contest came to. `learnt`: by evaluation, whether the best release beat the untrained network at the
    largest scale. `sign_agreement`: share of pairs of releases whose order is the same at all scales.
    `rank_correlation`: Spearman's, of the releases' order at the smallest and the largest scale; nothing for one scale.
    """

    scales: tuple[float, ...]
    names: tuple[str, ...]
    figures: dict[str, dict[str, list[list[float]]]]  # evaluation → release → scale → seeds
    pairs: list[Pair]
    learnt: dict[str, bool]
    sign_agreement: dict[str, float]
    rank_correlation: dict[str, float | None]

    def order(self, evaluation: str) -> list[str]:
        """Releases by their mean at the largest scale, the best first."""
        told = self.figures[evaluation]
        return sorted(self.names, key=lambda name: -float(np.mean(told[name][-1])))

    def sentence(self, evaluation: str) -> str:
        """What an evaluation says, in words."""
        if len(self.figures[evaluation][UNTRAINED][0]) < 2:
            return "inconclusive: one random seed has no interval"
        if not self.learnt[evaluation]:
            return "inconclusive: no release trained a model that beats an untrained one"
        told = [f"{each.one} and {each.two}: {each.answer}" for each in self.pairs if each.evaluation == evaluation]
        return "; ".join(told)


def compare(
    contest: Contest,
    cache: str | Path,
    *,
    workers: int | None = None,
    allow_code: bool = False,
    device: str = "cpu",
    precision: Precision = "float32",
    on_result: Callable[[Result, int, int], None] = lambda result, done, of: None,
) -> Answer:
    """Train and test all releases at all scales."""
    claims = contest.claims()
    how: Any = {"workers": workers, "allow_code": allow_code, "device": device, "precision": precision}
    results = [results_of(claim, cache, **how, on_result=on_result) for claim in claims]
    return answer_of(claims[0].evaluations, results, sorted(contest.scales), list(contest.paths))


def answer_of(
    evaluations: Mapping[str, Any], results: Sequence[Sequence[Result]], scales: Sequence[float], names: Sequence[str]
) -> Answer:
    """The answer over the results of ascending scales.

    Intervals hold for all pairs of releases of an evaluation and scale together (Bonferroni); evaluations are questions
    of their own.
    """
    figures: dict[str, dict[str, list[list[float]]]] = {
        evaluation: {
            name: [[each.figures[evaluation] for each in of_scale if each.arm == name] for of_scale in results]
            for name in (*names, UNTRAINED)
        }
        for evaluation in evaluations
    }
    pairs, learnt, agreement, correlation = [], {}, {}, {}
    for evaluation, told in evaluations.items():
        statistic = part_of("evaluations", told, True).statistic

        def differences(one: str, two: str, number: int, name: str = evaluation, of: Any = statistic) -> Any:
            return [
                difference(
                    [each.items[name] for each in of_scale if each.arm == one],
                    [each.items[name] for each in of_scale if each.arm == two],
                    of,
                    shared=True,
                    comparisons=number,
                )
                for of_scale in results
            ]

        both = list(combinations(names, 2))
        own = []
        for one, two in both:
            found = differences(one, two, len(both))
            values = zip(*((each.mean, each.low, each.high) for each in found), strict=True)
            own.append(Pair(one, two, evaluation, *values))
        learnt[evaluation] = any(differences(name, UNTRAINED, len(names))[-1].low > 0 for name in names)
        agreement[evaluation] = float(np.mean([len({mean > 0 for mean in each.means}) == 1 for each in own]))
        correlation[evaluation] = _spearman(figures[evaluation], names) if len(scales) > 1 else None
        pairs += own
    return Answer(tuple(scales), tuple(names), figures, pairs, learnt, agreement, correlation)


def _spearman(told: Mapping[str, list[list[float]]], names: Sequence[str]) -> float | None:
    from scipy.stats import spearmanr

    first, last = ([float(np.mean(told[name][place])) for name in names] for place in (0, -1))
    if len({*first}) == 1 or len({*last}) == 1:  # ranks say nothing
        return None
    return float(spearmanr(first, last).statistic)


def _name(path: str) -> str:
    name = re.sub(r"[^\w-]+", "-", Path(path).resolve().name.lower()).strip("-_")
    if not name:
        raise UsageError(f"the folder {path} gives no name; use letters or digits")
    return name
