"""Emoji: real pictures with real names in many languages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuwen.errors import UsageError
from tuwen.models.columns import Columns
from tuwen.proof.worlds import groups
from tuwen.proof.worlds.emoji_builder import Glyph, of_crawl, read_glyphs
from tuwen.proof.worlds.groups import Rows

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Emoji:
    """Pictures of emoji; a training example is a picture with its text in one of the `languages`.

    `path`: a folder that `python -m tuwen.proof.worlds.emoji_builder` made; without one, the 180 emoji of the demo
    crawl. Emoji that lack a name in one of the languages are left out, and so are skin tones of people, unless
    `skin_tones`. `text`: the name, or a caption, which is the name with keywords. `mismatch`: share of training
    examples with the text of an emoji of another group.

    A group (column `group`) is what shares the head noun of its English name or looks nearly the same; `test_share` of
    all emoji are tested, in whole groups, by the number `split`. The test is the same whatever the seed: its items are
    a sample too, drawn by group. A row of it is an emoji, its `text` in one language after the other. `same` is the
    number of the emoji. `name_LANGUAGE` and `text_LANGUAGE` are in all rows; `name` is in the first language.
    """

    path: str | None = None
    languages: Annotated[tuple[str, ...], Field(min_length=1)] = ("en", "zh")
    text: Literal["name", "caption"] = "name"
    mismatch: Share = 0.0
    skin_tones: bool = False
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    split: int = 0
    side: Annotated[int, Field(ge=16, le=128)] = 32

    VERSION: ClassVar[int] = 1

    @property
    def fingerprint(self) -> str:
        """Digest of the names, and through them of the pictures."""
        path = _demo() if self.path is None else Path(self.path) / "emoji.json"
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error}") from error

    def train(self, number: int, seed: int) -> Columns:
        """So many training examples, by the arguments and the folder alone."""
        rng = np.random.default_rng([self.VERSION, seed])
        known = _collection(replace(self, mismatch=0.0), self.fingerprint)
        rows = np.flatnonzero(~known.tested)
        examples = len(rows) * len(self.languages)
        row, language = np.divmod(groups.chosen(examples, number, "training examples", rng), len(self.languages))
        wrong = rng.random(examples)[:number] < self.mismatch
        told = row.copy()
        if wrong.any():
            told[wrong] = groups.others(rng, known.group[rows], row[wrong])
        return known.columns(rows[row], language, rows[told], wrong)

    def test(self, number: int, seed: int) -> Columns:
        """So many test examples, the same for each seed."""
        known = _collection(replace(self, mismatch=0.0), self.fingerprint)
        rows = np.random.default_rng(self.VERSION).permutation(np.flatnonzero(known.tested))
        rows = rows[groups.chosen(len(rows), number, "test examples")]
        language = np.arange(number) % len(self.languages)
        return known.columns(rows, language, rows, np.zeros(number, bool))


class _Collection:
    """The emoji of a folder that a world shows."""

    def __init__(self, world: Emoji, glyphs: list[Glyph]) -> None:
        known = {language for each in glyphs for language in each.names}
        for language in world.languages:
            if language not in known:
                raise UsageError(f"no emoji has a name in {language!r}; there are: {', '.join(sorted(known))}")
        self.world = world
        self.glyphs = [
            each
            for each in glyphs
            if all(language in each.names for language in world.languages)
            and (world.skin_tones or "skin tone" not in each.names.get("en", ""))
        ]
        found = [groups.pictures(each.picture, groups.SIDE, world.side) for each in self.glyphs]
        thumbnails = [each for each in found if each is not None]
        if len(thumbnails) < len(found) or not found:
            raise UsageError(f"{world.path} has no pictures, or damaged ones; build the folder again")
        self.image = np.stack([each for _, each in thumbnails])
        heads = [head_noun(each.names["en"]) if "en" in each.names else each.code for each in self.glyphs]
        self.group = groups.groups_of(np.stack([each for each, _ in thumbnails]), heads)
        self.tested = groups.in_test(self.group, world.test_share, world.split)

    def columns(self, rows: Rows, language: Rows, told: Rows, wrong: Any) -> Columns:
        """Emoji `rows` with the texts of the emoji `told`."""
        languages = self.world.languages
        chosen = [languages[each] for each in language]
        found: dict[str, Any] = {
            "image": self.image[rows],
            "text": [self._text(row, each) for row, each in zip(told, chosen, strict=True)],
            "true_text": [self._text(row, each) for row, each in zip(rows, chosen, strict=True)],
            "language": np.array(chosen, str),  # arrays, since they are no texts that a tokenizer should learn
            "name": [self.glyphs[row].names[languages[0]] for row in rows],
            "code": np.array([self.glyphs[row].code for row in rows], str),
            "is_true": ~wrong,
            "is_mismatched": wrong,
            "same": rows,
            "group": self.group[rows],
        }
        for each in languages:
            found[f"name_{each}"] = [self.glyphs[row].names[each] for row in rows]
            found[f"text_{each}"] = [self._text(row, each) for row in rows]
            found[f"is_{each}"] = np.array([one == each for one in chosen], bool)
        return Columns(**found)

    def _text(self, row: int, language: str) -> str:
        glyph = self.glyphs[row]
        return (
            glyph.captions.get(language, glyph.names[language])
            if self.world.text == "caption"
            else glyph.names[language]
        )


@lru_cache(maxsize=4)
def _collection(world: Emoji, fingerprint: str) -> _Collection:
    return _Collection(world, of_crawl(_demo()) if world.path is None else read_glyphs(Path(world.path)))


def _demo() -> Path:
    import tuwen.demo

    return Path(tuwen.demo.__file__).parent / "docs-crawl.warc.gz"


def head_noun(name: str) -> str:
    """What an English name is about: `bread` of `loaf-like bread with butter: dark`."""
    plain = name.split(":")[0].split("(")[0].strip().lower()
    for preposition in (" with ", " without ", " of ", " in ", " on ", " for "):
        plain = plain.split(preposition)[0]
    return plain.split()[-1].strip("“”\"'!?,.") if plain.split() else plain
