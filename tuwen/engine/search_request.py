"""What is sought: words, a meaning, images, rows of the corpus, or several of these with weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuwen.errors import UsageError
from tuwen.parts import nearest
from tuwen.selections.expressions import Expression

WAYS = ("words", "meaning", "both")
PARTS = ("words", "meaning", "image", "id")
UNITS = ("pair", "image")
MAX_CHARACTERS = 2_000
TOP, COLLAPSE = 10, 0.94


@dataclass(frozen=True)
class Request:
    """A search, checked when made; `UsageError` says what is wrong with it.

    `text` is sought `by` its words (BM25 over the texts of pairs), its meaning (vectors), or both. `images` are files,
    `ids` rows of the corpus to find more like. `weights` of words, meaning, image and id are 1 unless given. `where` is
    a rule as in selections. `unit` is what is found, pair or image. `column` names the vectors, `model` what made
    them, where the corpus does not know. Hits whose images have a cosine of at least `collapse` count once (None: all
    are listed). `unsafe`: list those that a safety column speaks against, too.
    """

    text: str | None = None
    by: str = "words"
    images: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    where: str | None = None
    unit: str | None = None
    column: str | None = None
    model: str | None = None
    top: int = TOP
    collapse: float | None = COLLAPSE
    unsafe: bool = False

    def __post_init__(self) -> None:
        if self.text is not None:
            _check_text(self.text)
        if self.text is None and not self.images and not self.ids:
            raise UsageError("nothing is asked for; give a text, --image FILE or --id ID")
        if self.by not in WAYS:
            raise UsageError(f"a text is sought by {', '.join(WAYS)}, not by {self.by!r}")
        if self.unit is not None and self.unit not in UNITS:
            raise UsageError(f"what is found is a pair or an image, not {self.unit!r}")
        if self.top < 1:
            raise UsageError(f"the number of hits must be at least 1, got {self.top}")
        if self.collapse is not None and not 0 < self.collapse <= 1:
            raise UsageError(f"near-duplicates have a cosine above 0 and up to 1; got {self.collapse}")
        for name, weight in self.weights.items():
            if name not in self.parts:
                raise UsageError(f"no part {name!r} to weigh in this search; {nearest(name, self.parts)}")
            if not (math.isfinite(weight) and weight > 0):
                raise UsageError(f"a weight is a number above 0; {name} has {weight}")
        if self.where is not None:
            Expression.parse(self.where)

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of words, meaning, image and id it has."""
        asked = {
            "words": self.text is not None and self.by != "meaning",
            "meaning": self.text is not None and self.by != "words",
            "image": bool(self.images),
            "id": bool(self.ids),
        }
        return tuple(name for name in PARTS if asked[name])

    def weight(self, part: str) -> float:
        """Weight of a part."""
        return self.weights.get(part, 1.0)


def _check_text(text: str) -> None:
    if not text.strip():
        raise UsageError("the text to look for is empty; give a word, or --image FILE or --id ID")
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"a text to look for has at most {MAX_CHARACTERS} characters, this one has {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text[:50]!r} is not valid Unicode") from None
