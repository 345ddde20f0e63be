"""Interleaved documents over drawn scenes: texts and images in reading order, as a page has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuwen.models.columns import Columns
from tuwen.proof.worlds.scene.captions import caption
from tuwen.proof.worlds.scene.graph import scene_of
from tuwen.proof.worlds.scene.truth import drawn
from tuwen.proof.worlds.scenes import TEST, TRAIN, Scenes, Share

if TYPE_CHECKING:
    from tuwen.models.sequences import Piece

NUM_DISTRACTORS = 512  # scenes that documents speak of and do not show
MOST_IMAGES = 4
NOWHERE = -1


@dataclass(frozen=True)
class SceneDocuments:
    """Documents of some `images` (how many, equally often), each with a text about it.

    `text_first`: share of images that stand behind their text; the others stand before it. `distractors`: share of
    images that are followed by a sentence about a scene that the document does not show. `elsewhere`: share of images
    whose text stands at the end of the document. `missing`: share of images whose text stands nowhere. `scenes`: knobs
    of the scenes and of their texts. Documents of training and of tests have images and scenes as `scenes` has them;
    tests have no distractors, and all texts beside their images.

    A row is a document. `document` is a list of `Piece`; each text ends its line. `document_texts` and
    `document_images` are its texts and images in reading order, and `text_of_image` has for each image the number of
    the text about it, -1 where there is none, because it is missing or of another scene (`scenes.mismatch`). All other
    columns tell of the document's first image, as `scenes` does.
    """

    images: Annotated[tuple[Literal[1, 2, 3, 4], ...], Field(min_length=1)] = (2, 3, 4)
    text_first: Share = 0.5
    distractors: Share = 0.3
    elsewhere: Share = 0.0
    missing: Share = 0.0
    scenes: Scenes = field(default_factory=Scenes)

    VERSION: ClassVar[int] = 1

    def train(self, number: int, seed: int) -> Columns:
        """So many training documents, by the arguments alone."""
        return self._columns(number, seed, TRAIN)

    def test(self, number: int, seed: int) -> Columns:
        """So many test documents, by the arguments alone."""
        return replace(self, distractors=0, elsewhere=0, missing=0)._columns(number, seed, TEST)

    def _columns(self, number: int, seed: int, split: int) -> Columns:
        rng = np.random.default_rng([self.VERSION, split, seed])
        # One row a document: the first n documents are the same, however many are asked for.
        chance = rng.random((number, 1 + 5 * MOST_IMAGES))
        counts = np.array(self.images)[(chance[:, 0] * len(self.images)).astype(int)]
        ends = [0, *accumulate(counts.tolist())]
        draw = self.scenes.train if split == TRAIN else self.scenes.test
        scenes = draw(ends[-1], seed)
        apart = self._distractors(seed) if self.distractors else {}
        documents = [
            self._document(scenes, first, end, chance[row, 1:].reshape(5, MOST_IMAGES), apart)
            for row, (first, end) in enumerate(pairwise(ends))
        ]
        return scenes.subset(ends[:-1]).with_columns(**documents_of(documents))

    def _document(
        self, scenes: Columns, first: int, end: int, chance: Any, apart: dict[str, list[str]]
    ) -> list[tuple[Any, int]]:
        """Texts, with the number of the image that they tell of, and images, with `NOWHERE`, in reading order."""
        body: list[tuple[Any, int]] = []
        late: list[tuple[Any, int]] = []
        for place, row in enumerate(range(first, end)):
            image = (scenes["image"][row], NOWHERE)
            text = (scenes["text"][row], place if scenes["is_true"][row] else NOWHERE)
            if chance[0, place] < self.missing:
                body.append(image)
            elif chance[1, place] < self.elsewhere:
                body.append(image)
                late.append(text)
            else:
                body += [text, image] if chance[2, place] < self.text_first else [image, text]
            if chance[3, place] < self.distractors:
                sentences = apart[scenes["language"][row]]
                body.append((sentences[int(chance[4, place] * len(sentences))], NOWHERE))
        return body + late

    def _distractors(self, seed: int) -> dict[str, list[str]]:
        """Sentences about scenes that nobody sees, by language."""
        rng = np.random.default_rng([self.VERSION, TRAIN, seed, 1])
        truth = drawn(rng, NUM_DISTRACTORS, objects=self.scenes.objects, styles=self.scenes.style)
        wording = [int(each) for each in rng.integers(1 << 62, size=NUM_DISTRACTORS)]
        return {
            language: [
                caption(scene_of(truth, row, named=self.scenes.names), "sentence", language, wording[row])
                for row in range(NUM_DISTRACTORS)
            ]
            for language in ("en", "zh")
        }


def documents_of(documents: list[list[tuple[Any, int]]]) -> dict[str, list[Any]]:
    """Columns of documents, each a list of images (arrays) and of texts with the number of the image that they tell
    of."""
    found: dict[str, list[Any]] = {"document": [], "document_texts": [], "document_images": [], "text_of_image": []}
    for each in documents:
        texts = [(value, image) for value, image in each if isinstance(value, str)]
        images = [value for value, _ in each if not isinstance(value, str)]
        text_of = {image: number for number, (_, image) in enumerate(texts) if image != NOWHERE}
        found["document"].append(list(_pieces(value for value, _ in each)))
        found["document_texts"].append([value for value, _ in texts])
        found["document_images"].append(images)
        found["text_of_image"].append([text_of.get(number, NOWHERE) for number in range(len(images))])
    return found


def _pieces(values: Iterator[Any]) -> Iterator[Piece]:
    from tuwen.models.sequences import Piece

    for value in values:
        yield Piece(f"{value}\n") if isinstance(value, str) else Piece(value, learnt=False)
