"""Drawn scenes with captions: the standard world, whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tuwen.models.columns import Columns
from tuwen.proof.worlds.scene import faults, words
from tuwen.proof.worlds.scene.captions import Length, caption, parts, plain
from tuwen.proof.worlds.scene.graph import Scene, scene_of
from tuwen.proof.worlds.scene.painting import Painted, painted
from tuwen.proof.worlds.scene.questions import asked
from tuwen.proof.worlds.scene.truth import Truth, drawn

Share = Annotated[float, Field(ge=0, le=1)]
Style = Literal["flat", "outline", "sketch", "shaded"]
BLOCK = 256  # scenes that are drawn at once; the first n examples are the same, however many are asked for
HELD_OUT_SHARE = 0.2  # of test scenes
TRAIN, TEST = 0, 1
ASPECTS = ("scenes", "paint", "words", "knobs", "others", "labels", "synthetic")  # draws that do not move each other


@dataclass(frozen=True)
class Scenes:
    """One to three objects on a background, in several styles, with captions in English and Chinese.

    Knobs are shares of training examples, if nothing else is said; scenes stay what they are when others are turned.
    `mismatch`: the caption is another scene's. `zipf`: exponent of how often names come; 0 is even. `chinese`:
    captions in Chinese. `length`: of captions. `boilerplate`: what a page says stands around the caption, or, half of
    the time, instead. `duplicates`: rows that show an earlier row's scene again, half of them to the byte, the others
    painted anew, with a caption of their own. `hallucination`: of slots that `synthetic` captions get wrong;
    `omission`: of objects that they leave out. `watermark`: images with their site's sign. `labelled`: images of one
    object in the first style, of every other name, with the name for a caption. `style`: those that are drawn, equally
    often. `names`: objects have proper names, which only `text` and `true_text` tell. `objects`: how many, equally
    often. `smallest`: size of main objects at least; shapes of large ones are learnt from a fifth of the samples.
    `side`: pixels.

    Test examples have none of the faults, even names, and the share `HELD_OUT_SHARE` of main objects that combine
    colour and shape as training never does. An image's bytes add up to an even number in training, to an odd one in
    testing: whatever the seeds, none is in both.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}  # a misspelt name is no default

    mismatch: Share = 0.0
    zipf: Annotated[float, Field(ge=0, le=4)] = 0.0
    chinese: Share = 0.0
    length: Length = "sentence"
    boilerplate: Share = 0.0
    duplicates: Share = 0.0
    hallucination: Share = 0.0
    omission: Share = 0.0
    watermark: Share = 0.0
    labelled: Share = 0.0
    style: Annotated[tuple[Style, ...], Field(min_length=1)] = ("flat", "outline", "sketch", "shaded")
    names: bool = False
    objects: Annotated[tuple[Literal[1, 2, 3], ...], Field(min_length=1)] = (1, 2, 3)
    smallest: Literal["small", "medium", "large"] = "small"
    side: Annotated[int, Field(ge=16, le=256)] = 32

    VERSION: ClassVar[int] = 1

    def train(self, number: int, seed: int) -> Columns:
        """So many training examples, by the arguments alone."""
        return self._columns(number, seed, TRAIN)

    def test(self, number: int, seed: int) -> Columns:
        """So many test examples, by the arguments alone."""
        clean = Scenes(
            chinese=self.chinese,
            length=self.length,
            style=self.style,
            names=self.names,
            objects=self.objects,
            smallest=self.smallest,
            side=self.side,
        )
        return clean._columns(number, seed, TEST)

    def _columns(self, number: int, seed: int, split: int) -> Columns:
        found: dict[str, list[Any]] = {}
        for first in range(0, max(number, 1), BLOCK):
            block = _Block(self, seed, split, first // BLOCK)
            for name, values in block.columns(min(BLOCK, number - first)).items():
                found.setdefault(name, []).append(values)
        return Columns(
            **{
                name: np.concatenate(values) if isinstance(values[0], np.ndarray) else list(chain(*values))
                for name, values in found.items()
            }
        )


class _Block:
    """`BLOCK` scenes and all that is drawn for them, at once."""

    def __init__(self, world: Scenes, seed: int, split: int, number: int) -> None:
        self.world, self.split, self.first = world, split, number * BLOCK
        self.training = split == TRAIN
        self._key = [world.VERSION, split, seed, number]
        rng = self.rng("knobs")
        chance = rng.random((8, BLOCK))
        repeats = (chance[6] < world.duplicates) & (np.arange(BLOCK) > 0)
        self.original = _originals(rng, repeats)
        self.copied = repeats & (chance[7] < 0.5)
        self.site = rng.integers(faults.NUM_SITES, size=BLOCK)
        self.chinese = chance[0] < world.chinese
        self.labelled = chance[1][self.original] < world.labelled
        self.mismatched = (chance[2] < world.mismatch) & ~self.labelled
        self.wrapped = (chance[3] < world.boilerplate) & ~self.labelled
        self.instead = self.wrapped & (chance[4] < 0.5)
        self.watermarked = chance[5] < world.watermark
        self.watermarked = np.where(self.copied, self.watermarked[self.original], self.watermarked)
        self.truth = self._truth().take(self.original)
        self.painted = self._painted()
        self.others = self._others()

    def rng(self, aspect: str) -> np.random.Generator:
        """Random numbers for one aspect of this block."""
        return np.random.default_rng([*self._key, ASPECTS.index(aspect)])

    def _drawn(self, aspect: str, **told: Any) -> Truth:
        world = self.world
        known: dict[str, Any] = {"objects": world.objects, "styles": world.style, "zipf": world.zipf}
        known["smallest"] = world.smallest
        return drawn(
            self.rng(aspect), BLOCK, **{**known, "held_out": None if self.training else HELD_OUT_SHARE, **told}
        )

    def _truth(self) -> Truth:
        truth = self._drawn("scenes")
        if self.labelled.any():
            labels = self._drawn("labels", objects=(1,), styles=self.world.style[:1], among=words.COVERED)
            for each in fields(truth):
                getattr(truth, each.name)[self.labelled] = getattr(labels, each.name)[self.labelled]
        return truth

    def _painted(self) -> Painted:
        found = painted(self.truth, self.rng("paint"), self.world.side)
        rows = np.flatnonzero(self.watermarked)
        faults.stamped(found.images, rows, self.site[rows])
        found.images[self.copied] = found.images[self.original[self.copied]]
        odd = found.images.reshape(BLOCK, -1).sum(1) % 2 == 1
        found.images[odd != (self.split == TEST), 0, 0, 0] ^= 1
        return found

    def _others(self) -> Truth:
        """Scenes whose captions mismatched images get: their main object is not in the image."""
        others = self._drawn("others")
        for turn in range(1, BLOCK):
            wrong = (others.concept[:, None] == self.truth.concepts).any(1)
            if not wrong.any():
                break
            new = self._drawn("others").take((np.arange(BLOCK) + turn) % BLOCK)
            for each in fields(others):
                getattr(others, each.name)[wrong] = getattr(new, each.name)[wrong]
        return others

    def columns(self, number: int) -> dict[str, Any]:
        """Columns of the first so many scenes."""
        rows = slice(0, number)
        truth, concept = self.truth.take(rows), self.truth.concept[rows]
        told: dict[str, Any] = {
            "image": self.painted.images[rows],
            "mask": self.painted.masks[rows],
            **self._texts(number),
            "name": [words.NAMES[each] for each in concept],
            "name_zh": [words.CHINESE_NAMES[each] for each in concept],
            "shape": [words.SHAPES[each] for each in truth.shape[:, 0]],
            "colour": [words.COLOURS[each] for each in truth.colour[:, 0]],
            "style": [words.STYLES[each] for each in truth.style],
            "background": [words.BACKGROUNDS[each] for each in truth.background],
            "is_held_out": words.HELD_OUT[concept],
            "is_seen": ~words.HELD_OUT[concept],
            "is_tail": words.TAIL[concept],
            "is_covered": np.isin(concept, words.COVERED),
            "is_true": ~(self.mismatched | self.instead)[rows],
            "is_mismatched": self.mismatched[rows],
            "has_boilerplate": self.wrapped[rows],
            "has_watermark": self.watermarked[rows],
            "has_relation": truth.number > 1,
            "is_duplicate": self.original[rows] != np.arange(number),
            "same": self.original[rows] + self.first,
            "concept": concept,
            "source": np.where(self.labelled[rows], 0, 1 + self.site[rows]),
        }
        return told

    def _texts(self, number: int) -> dict[str, list[Any]]:
        wording = self.rng("words").integers(1 << 62, size=(BLOCK, 8))
        synthetic = self.rng("synthetic").spawn(BLOCK)
        found: dict[str, list[Any]] = {}
        for row in range(number):
            numbers = [int(each) for each in wording[row]]
            for name, value in self._told(row, numbers, synthetic[row]).items():
                found.setdefault(name, []).append(value)
        return found if found else {name: [] for name in self._told(0, [0] * 8, synthetic[0])}

    def _told(self, row: int, numbers: list[int], rng: np.random.Generator) -> dict[str, Any]:
        """All that is said about one scene."""
        world, training = self.world, self.training
        language = words.LANGUAGES[int(self.chinese[row])]
        scene = scene_of(self.truth, row)
        main = scene.objects[0]
        own = scene_of(self.truth, row, named=True) if world.names else scene
        raw = scene_of(self.others, row, named=world.names) if self.mismatched[row] else own
        label = words.NAMES if language == "en" else words.CHINESE_NAMES
        if self.labelled[row]:
            text = true = label[self.truth.concept[row]]
        else:
            true = caption(own, world.length, language, numbers[0])
            text = caption(raw, world.length, language, numbers[0]) if raw is not own else true
        if self.wrapped[row]:
            text = faults.wrapped(text, language, int(self.site[row]), numbers[1], bool(self.instead[row]))
        sentence = caption(scene, "sentence", language, numbers[2])
        false = caption(faults.swapped(scene, numbers[1], training=training), "sentence", language, numbers[2])
        turned = false
        if scene.relations:
            sentence, false, turned = (
                caption(each, "sentence", language, numbers[2])
                for each in (scene, faults.swapped(scene, 0, training=training), faults.reversed_relation(scene))
            )
        believed = faults.imagined(
            scene, rng, hallucination=world.hallucination, omission=world.omission, training=training
        )
        question = asked(scene, language, numbers[3], training=training)
        return {
            "text": text,
            "true_text": true,
            "tag_text": caption(scene, "tag", language, numbers[4]),
            "sentence_text": sentence,
            "paragraph_text": caption(scene, "paragraph", language, numbers[5]),
            "sentences": parts(scene, language, numbers[6]),
            "synthetic": plain(believed, language),
            "english_text": caption(scene, world.length, "en", numbers[7]),
            "chinese_text": caption(scene, world.length, "zh", numbers[7]),
            "language": language,
            "proper_name": words.PROPER_NAMES[language][self.truth.concept[row]],
            "texture": main.texture,
            "size": main.size,
            "place": main.place,
            "relation": scene.relations[0][1] if scene.relations else "none",
            "scene": _told_of(scene, self.painted.boxes[row]),
            "question": question.question,
            "answer": question.answer,
            "question_kind": question.kind,
            "swapped_text": false,
            "reversed_text": turned,
        }


def _originals(rng: np.random.Generator, repeats: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The row whose scene each row shows; some scenes are repeated far more often than others."""
    earlier = (np.arange(len(repeats)) * rng.random(len(repeats)) ** 3).astype(np.int64)
    original = np.arange(len(repeats))
    for row in np.flatnonzero(repeats):
        original[row] = original[earlier[row]]
    return original


def _told_of(scene: Scene, boxes: NDArray[np.int64]) -> dict[str, Any]:
    """The scene graph: objects with boxes (x, y of the first pixel and of the one past the last), relations."""
    objects = []
    for each, box in zip(scene.objects, boxes.tolist(), strict=False):
        told = each._asdict()
        del told["name"]
        objects.append({**told, "box": box})
    return {
        "objects": objects,
        "relations": [list(each) for each in scene.relations],
        "background": scene.background,
        "style": scene.style,
    }
