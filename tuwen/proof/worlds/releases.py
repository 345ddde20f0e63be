"""Releases as worlds: what the pairs of one train, tested on pairs of another that none of them holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.worlds.groups import centred
from tuwen.proof.worlds.release.pairs import Pairs, fingerprint_of, pairs_of

NEAR = 0.98  # cosine of two images' pixels, each centred: the same picture, stored differently
WORD = re.compile(r"[^\W\d_]+")
BLOCK = 1_024
Group = tuple[str, ...]


@dataclass(frozen=True)
class Releases:
    """Pairs of the release `use` among `paths` (name → folder) train, pairs of the folder `test_path` test. Without
    `use` all releases train, a pair of each in turn.

    Training leaves out images of the test and those that look like one, to a cosine of `NEAR` of their centred pixels,
    where `drop_overlap` is set; else equal images are refused before training. `languages`: a column `is_NAME` for
    each. `is_tail`: of the test, the half of the pairs whose words are the rarer ones in all releases together. `same`
    numbers images, `site` is host and language. Draws are without replacement, by the seed; of a release that holds
    fewer, all.
    """

    paths: Mapping[str, str]
    test_path: str
    use: str = ""
    side: Annotated[int, Field(ge=16, le=256)] = 32
    drop_overlap: bool = False
    languages: tuple[str, ...] = ("en", "zh")

    def train(self, number: int, seed: int) -> Columns:
        """So many pairs of the release `use`, or of all releases."""
        if not self.use:
            pairs = _in_turn([self.training(name) for name in self.paths], number, seed)
            return self._columns(pairs, np.arange(len(pairs)))
        if self.use not in self.paths:
            raise UsageError(f"use: {self.use!r} is none of {', '.join(self.paths)}")
        pairs = self.training(self.use)
        return self._columns(pairs, _draw(len(pairs), number, seed))

    def test(self, number: int, seed: int) -> Columns:
        """So many pairs of the test, the same whatever the seed."""
        pairs = pairs_of(self.test_path, self.side)
        return self._columns(pairs, _draw(len(pairs), number, 0))

    def training(self, name: str) -> Pairs:
        """All pairs of a release that may train."""
        pairs = pairs_of(self.paths[name], self.side)
        if not self.drop_overlap:
            return pairs
        near = _near(self.paths[name], self.test_path, self.side)
        return pairs.take(np.flatnonzero(~near[pairs.image]))

    def num_shown(self, name: str) -> int:
        """Images of a release that the test shows too."""
        return int(_near(self.paths[name], self.test_path, self.side).sum())

    @cached_property
    def fingerprint(self) -> str:
        """What the folders hold now."""
        return " | ".join(fingerprint_of(path) for path in (*self.paths.values(), self.test_path))

    def _columns(self, pairs: Pairs, rows: NDArray[np.int64]) -> Columns:
        chosen = pairs.take(rows)
        columns: dict[str, Any] = {
            "image": pairs.images[chosen.image],
            "text": chosen.texts,
            "language": np.array(chosen.languages),  # arrays, since they are no texts that a tokenizer should learn
            "host": np.array(chosen.hosts),
            "site": np.array([f"{host} {each}" for host, each in zip(chosen.hosts, chosen.languages, strict=True)]),
            "same": chosen.image,
            "is_tail": _rare(chosen.texts, tuple(self.paths.values()), self.side),
        }
        for language in self.languages:
            columns[f"is_{language}"] = np.array([each == language for each in chosen.languages])
        return Columns(**columns)


def words_of(text: str) -> list[str]:
    """Lower-case words, and each two neighbouring characters of Chinese and Japanese."""
    found = []
    for word in WORD.findall(text.lower()):
        if any("\u3040" <= each <= "\u9fff" for each in word):
            found += [word[start : start + 2] for start in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


@lru_cache(maxsize=4)
def _frequencies(paths: Group, side: int) -> Counter[str]:
    return Counter(word for path in paths for text in pairs_of(path, side).texts for word in words_of(text))


def _rare(texts: Sequence[str], paths: Group, side: int) -> NDArray[np.bool_]:
    """The half of the texts whose words are the rarer ones, by their mean log frequency."""
    known = _frequencies(paths, side)
    means = []
    for text in texts:
        logs = [np.log1p(known[word]) for word in words_of(text)]
        means.append(float(np.mean(logs)) if logs else 0.0)
    order = np.argsort(means, kind="stable")
    rare = np.zeros(len(texts), dtype=bool)
    rare[order[: len(texts) // 2]] = True
    return rare


@lru_cache(maxsize=8)
def _near(path: str, test_path: str, side: int) -> NDArray[np.bool_]:
    """Of the images of a release (M,): whether the test has one that looks like it."""
    own, of_test = (pairs_of(each, side).images for each in (path, test_path))
    known = {image.tobytes() for image in of_test}  # images of one colour have no direction, but they have bytes
    found = np.array([image.tobytes() in known for image in own])
    images, others = centred(own), centred(of_test)
    for start in range(0, len(images), BLOCK):
        found[start : start + BLOCK] |= (images[start : start + BLOCK] @ others.T).max(1) > NEAR
    return found


def _in_turn(releases: Sequence[Pairs], number: int, seed: int) -> Pairs:
    """So many pairs, a pair of each release in turn; images that are equal to the byte are one."""
    share = -(-number // len(releases))
    drawn = [pairs.take(_draw(len(pairs), share, seed)) for pairs in releases]
    turns = sorted((row, place) for place, pairs in enumerate(drawn) for row in range(len(pairs)))[:number]
    shown = np.stack([drawn[place].images[drawn[place].image[row]] for row, place in turns])
    images, image = np.unique(shown, axis=0, return_inverse=True)
    texts, languages, hosts = (
        [getattr(drawn[place], name)[row] for row, place in turns] for name in ("texts", "languages", "hosts")
    )
    return Pairs(images, image.reshape(-1).astype(np.int64), texts, languages, hosts)


def _draw(number: int, wanted: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng([seed, number]).permutation(number)[:wanted])
