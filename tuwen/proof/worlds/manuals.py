"""Pairs of a corpus: manuals, or any pages, with what they say of their figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.worlds import corpus_pairs, groups
from tuwen.proof.worlds.groups import Rows

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Manuals:
    """Pairs of the corpus at `path` that `selection`, one of its recipe, keeps; without one, all with a text and an
    image that can be decoded. `languages`: those of texts that count, all if none is named. `mismatch`: share of
    training examples with a text, in the same language, of an image of another group.

    A group (column `group`) is images that are nearly the same, `same` is the number of the image: where manuals in
    several languages show one figure, it is told in all of them. Tests are whole groups, about `test_share` of all
    pairs, by the number `split`; or else all pairs of the sites `hosts`, and then training has none of their groups,
    whichever site shows them. The test is the same for all seeds. `side`: pixels; images lie whole in a white square.

    For each of `languages`, `is_LANGUAGE` says whether the text is in it, and `text_LANGUAGE` is what some pair of the
    same side says of the same image in it, empty where `has_LANGUAGE` is false.
    """

    path: str
    selection: str | None = None
    languages: tuple[str, ...] = ()
    mismatch: Share = 0.0
    hosts: tuple[str, ...] = ()
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split: int = 0
    side: Annotated[int, Field(ge=16, le=128)] = 32

    VERSION: ClassVar[int] = 1

    @property
    def fingerprint(self) -> str:
        """Digest of all that is read from the corpus."""
        return corpus_pairs.fingerprint(self.path, self.selection)

    def train(self, number: int, seed: int) -> Columns:
        """So many training examples, by the arguments and the corpus alone."""
        rng = np.random.default_rng([self.VERSION, seed])
        known = self._known()
        rows = known.train
        chosen = groups.chosen(len(rows), number, "training examples", rng)
        told = rows.copy()
        for language in sorted(set(known.language[rows])) if self.mismatch else ():
            spoken = np.flatnonzero(known.language[rows] == language)
            other = groups.others(rng, known.group[rows[spoken]], np.arange(len(spoken)))
            told[spoken] = np.where(rng.random(len(spoken)) < self.mismatch, rows[spoken[other]], rows[spoken])
        return known.columns(rows[chosen], told[chosen], rows)

    def test(self, number: int, seed: int) -> Columns:
        """So many test examples, the same for each seed."""
        known = self._known()
        rows = np.random.default_rng(self.VERSION).permutation(known.test)
        rows = rows[groups.chosen(len(rows), number, "test examples")]
        return known.columns(rows, rows, known.test)

    def _known(self) -> _Pairs:
        return _pairs(replace(self, mismatch=0.0), self.fingerprint)


class _Pairs:
    """What a world shows of its corpus."""

    def __init__(self, world: Manuals) -> None:
        found = corpus_pairs.rows(world.path, world.selection, world.languages)
        ids = sorted({each["image_id"] for each in found})
        pictures = {
            image_id: picture
            for image_id, data in corpus_pairs.images(world.path, ids)
            if (picture := groups.pictures(data, groups.SIDE, world.side)) is not None
        }
        self.world, self.pairs = world, [each for each in found if each["image_id"] in pictures]
        if not self.pairs:
            raise UsageError(f"{world.path} has no pairs of such a selection and languages with an image and a text")
        place = {image_id: number for number, image_id in enumerate(pictures)}
        self.same = np.array([place[each["image_id"]] for each in self.pairs])
        self.image = np.stack([picture[1] for picture in pictures.values()])
        self.group = groups.groups_of(np.stack([picture[0] for picture in pictures.values()]))[self.same]
        self.language = np.array([each["language"] for each in self.pairs])
        if world.hosts:
            tested = np.isin([each["host"] for each in self.pairs], world.hosts)
            apart = np.isin(self.group, self.group[tested])
        else:
            tested = apart = groups.in_test(self.group, world.test_share, world.split)
        self.test, self.train = np.flatnonzero(tested), np.flatnonzero(~apart)

    def columns(self, rows: Rows, told: Rows, side: Rows) -> Columns:
        """Pairs `rows` with the texts of the pairs `told`; `side`: all of training or of the test."""
        found: dict[str, Any] = {
            "image": self.image[self.same[rows]],
            "text": [self.pairs[row]["text"] for row in told],
            "true_text": [self.pairs[row]["text"] for row in rows],
            **{
                name: np.array([self.pairs[row][name] for row in rows], str)  # no text that a tokenizer should learn
                for name in ("language", "host", "text_source", "image_id", "pair_id")
            },
            "same": self.same[rows],
            "group": self.group[rows],
        }
        found["is_mismatched"] = np.array(
            [a != b for a, b in zip(found["text"], found["true_text"], strict=True)], bool
        )
        found["is_true"] = ~found["is_mismatched"]
        for language in self.world.languages:
            spoken = {self.same[row]: self.pairs[row]["text"] for row in side[::-1] if self.language[row] == language}
            found[f"is_{language}"] = self.language[rows] == language
            found[f"has_{language}"] = np.array([image in spoken for image in self.same[rows]], bool)
            found[f"text_{language}"] = [spoken.get(image, "") for image in self.same[rows]]
        return Columns(**found)


@lru_cache(maxsize=2)
def _pairs(world: Manuals, fingerprint: str) -> _Pairs:
    return _Pairs(world)
