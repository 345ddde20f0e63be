"""One fold of a scorer: trained on the images of the other folds, judged on those of its own.

A tenth of the other folds' images is not trained on but says when to stop: pairs that are wrong are learnt by heart
sooner or later, and the score of what is new gets worse again. Early stopping: Arpit et al. 2017,
https://arxiv.org/abs/1706.05394.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.models.contrastive import Examples, deterministic, fit, image_embeddings, text_embeddings
from tuwen.models.discrimination import Interval, auc, auc_interval, wrong_texts
from tuwen.models.scorer import Shape, new_network, save_checkpoint, tokens_of, train_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

HELD_OUT = 1_000
"""Pairs of a fold that its model is judged on, at most."""
POINTS = 8
"""Of a learning curve."""
VALIDATION_SHARE, MOST_VALIDATION = 0.1, 500
"""Of the images that are not the fold's; and pairs of them, at most."""
EPOCHS, MOST_STEPS = 15, 1_000
MARGIN = 0.02
"""Above 0.5, what the lower end of the interval must exceed: where 60 of 100 texts are right, keeping the better half
by a score of AUC .52 gives 61 (normal scores of equal spread). Less is not worth a column, and within what the
bootstrap, which takes images as independent, does not see."""
LEAST_PAIRS = 200
"""With fewer in all, half of them held out, an interval is wider than anything that so few pairs teach."""
LEAST_HELD_OUT = 50


@dataclass(frozen=True)
class Judged:
    """Scores of held-out pairs with their own text and with a wrong one of the same host.

    `rows`, `others`: the pairs, and those whose texts are the wrong ones. `owner`: number of the image (or cluster).
    `is_new`: neither text was among those that the model was trained on.
    """

    rows: Integers
    others: Integers
    right: Floats
    wrong: Floats
    owner: Integers
    is_new: NDArray[np.bool_]

    @classmethod
    def together(cls, parts: Sequence[Judged]) -> Judged:
        """Of all folds."""
        names = ("rows", "others", "right", "wrong", "owner", "is_new")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def interval(self, seed: int) -> Interval:
        """AUC over all pairs."""
        return auc_interval(self.right, self.wrong, self.owner, seed)

    def interval_of_new(self, seed: int) -> Interval:
        """AUC over pairs whose texts are new to the model."""
        new = self.is_new
        return auc_interval(self.right[new], self.wrong[new], self.owner[new], seed)


@dataclass(frozen=True)
class Point:
    """Of a learning curve: mean loss of the steps since the last point, and AUC on validation pairs."""

    step: int
    loss: float
    auc: float


@dataclass(frozen=True)
class Lesson:
    """What a fold is made of. `fold`: fold of each pair; `owner`: number of each pair's image, or of its cluster."""

    pixels: NDArray[np.uint8]
    image: Integers
    owner: Integers
    text: Integers
    texts: Sequence[str]
    hosts: Sequence[str]
    fold: Integers


def default_steps(num_pairs: int, batch_size: int) -> int:
    """15 passes over the pairs, but no more than 1,000 steps."""
    return min(MOST_STEPS, -(-EPOCHS * num_pairs // batch_size))


def train_fold(
    lesson: Lesson,
    number: int,
    *,
    seed: int,
    shape: Shape,
    steps: int,
    batch_size: int,
    folder: Path | None = None,
    on_step: Callable[[int, Point | None], None] = lambda step, point: None,
) -> tuple[Judged, list[Point]]:
    """Train the model that sees no pair of fold `number`, save it into `folder`, and judge it on that fold.

    The weights are those of the point of the curve with the best AUC. The tokenizer too is made of what the model sees.
    `on_step` gets every step, with a point of the curve at some.
    """
    other = np.flatnonzero(lesson.fold != number)
    is_validation = _is_validation(lesson, other, seed)
    seen, validation = other[~is_validation], _at_most(other[is_validation], MOST_VALIDATION, seed)
    held_out = _at_most(np.flatnonzero(lesson.fold == number), HELD_OUT, seed)
    tokenizer = train_tokenizer(sorted({lesson.texts[place] for place in lesson.text[seen].tolist()}), shape)
    tokens = tokens_of(tokenizer, lesson.texts)
    examples = Examples(lesson.pixels, tokens, tokenizer.eos_token_id, lesson.image, lesson.text, lesson.owner)
    validation, validation_others = _with_wrong(lesson, validation, seed)
    held_out, others = _with_wrong(lesson, held_out, seed)
    with deterministic(seed):
        network = new_network(shape, tokenizer)
    curve = _Curve(examples, validation, validation_others, steps)

    def note(step: int, loss: float, averaged: Any) -> None:
        on_step(step, curve.note(step, loss, averaged))

    fit(network, examples, seen, steps=steps, seed=seed, batch_size=batch_size, on_step=note)
    network.load_state_dict(curve.best)
    with deterministic(seed):
        right, wrong = scores(network, examples, held_out, others)
    is_known = np.isin(lesson.text, lesson.text[other])
    if folder is not None:
        save_checkpoint(folder, network, tokenizer)
    is_new = ~is_known[held_out] & ~is_known[others]
    return Judged(held_out, others, right, wrong, lesson.owner[held_out], is_new), curve.points


@dataclass
class _Curve:
    """The learning curve of a network, and its weights at the best point."""

    examples: Examples
    rows: Integers
    others: Integers
    steps: int
    points: list[Point] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def note(self, step: int, loss: float, network: Any) -> Point | None:
        """A point at every eighth of the steps."""
        self.losses.append(loss)
        if step * POINTS // self.steps == (step - 1) * POINTS // self.steps:
            return None
        found = auc(*scores(network, self.examples, self.rows, self.others))
        point = Point(step, round(float(np.mean(self.losses)), 4), round(found, 4))
        if not self.points or point.auc > max(each.auc for each in self.points):
            self.best = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
        self.points.append(point)
        self.losses.clear()
        return point


def _is_validation(lesson: Lesson, rows: Integers, seed: int) -> NDArray[np.bool_]:
    """Which of the pairs have an image that says when to stop; none where there are few."""
    owners = np.unique(lesson.owner[rows])
    chosen = np.random.default_rng(seed).permutation(owners)[: round(VALIDATION_SHARE * len(owners))]
    found: NDArray[np.bool_] = np.isin(lesson.owner[rows], chosen)
    return found


def _at_most(rows: Integers, most: int, seed: int) -> Integers:
    chosen: Integers = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    return chosen


def _with_wrong(lesson: Lesson, rows: Integers, seed: int) -> tuple[Integers, Integers]:
    """Those of the pairs that have a wrong text on their host, and the pairs that lend it."""
    others = wrong_texts(rows, lesson.owner, lesson.text, lesson.hosts, seed)
    return rows[others >= 0], others[others >= 0]


def scores(network: Any, examples: Examples, rows: Integers, others: Integers) -> tuple[Floats, Floats]:
    """Cosines of the images of `rows` with their own texts, and with the texts of the pairs `others`."""
    if not len(rows):
        return np.zeros(0), np.zeros(0)
    images_ND = image_embeddings(network, examples, examples.image[rows])
    texts_ND = text_embeddings(network, examples, examples.text[np.concatenate([rows, others])])
    right = np.einsum("nd,nd->n", images_ND, texts_ND[: len(rows)], dtype=np.float64)
    return right, np.einsum("nd,nd->n", images_ND, texts_ND[len(rows) :], dtype=np.float64)


def verdict(num_pairs: int, judged: Judged, seed: int) -> tuple[bool, str]:
    """Whether something was learnt, and why (not)."""
    if num_pairs < LEAST_PAIRS:
        return False, f"{num_pairs} pairs with an image and a text; it takes {LEAST_PAIRS} to say anything"
    if len(judged.right) < LEAST_HELD_OUT:
        return False, (
            f"{len(judged.right)} held-out pairs have another text on their host to be confused with; "
            f"it takes {LEAST_HELD_OUT} to say anything"
        )
    found = judged.interval(seed)
    told = f"AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}] of right against wrong texts of the same host"
    if found.low <= 0.5 + MARGIN:
        return False, f"{told}; the lower end has to be above {0.5 + MARGIN}"
    return True, told
