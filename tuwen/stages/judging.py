"""How pairs are put to a judge: which of them can be, what it is shown, and what its replies come to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL.Image import Resampling

from tuwen.models.judge import Reply, judge
from tuwen.models.reply_cache import ReplyCache, question
from tuwen.models.score import score_of
from tuwen.stages.image.pixels import decode

if TYPE_CHECKING:
    from PIL import Image

    from tuwen.stages.pair.judge import Judge

PLACE = "{text}"
CACHE = "judge.sqlite"
SHOWN = 500  # characters of a reply
LONGEST = 4  # times the shorter side that an image may be long


@dataclass(frozen=True)
class Rating:
    """What became of one pair. `seconds`: what the reply took, shared among those asked together; None: not asked."""

    score: float | None = None
    reply: str | None = None
    error: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None


def check_prompt(prompt: str) -> None:
    """`ValueError` unless there is one place for the text."""
    if prompt.count(PLACE) != 1:
        raise ValueError(f"prompt must hold {PLACE} once, where the pair's text goes, got {prompt!r}")


def prompt_of(stage: Judge, text: str) -> str:
    """The question about a text."""
    return stage.prompt.replace(PLACE, text.strip()[: stage.max_characters])


def rate(stage: Judge, images: Sequence[bytes | None], texts: Sequence[str | None], cache: Path | None) -> list[Rating]:
    """The rating of each text with the image beside it. Equal pairs, and those that the cache knows, are not asked.

    `cache`: the folder with replies; None keeps none.
    """
    identity = question(stage.model_hash(), stage.max_tokens, stage.side, stage.endpoint and stage.endpoint.seed)
    ratings: list[Rating | None] = [None] * len(texts)
    places: dict[bytes, list[int]] = {}
    for place, (data, text) in enumerate(zip(images, texts, strict=True)):
        if text is None or not text.strip():
            ratings[place] = Rating(error="no_text")
        elif data is None:
            ratings[place] = Rating(error="no_image")
        else:
            places.setdefault(question(identity, data, prompt_of(stage, text)), []).append(place)
    with ReplyCache(None if cache is None else cache / CACHE) as replies:
        answered = replies.get(list(places))
        new = {}
        for each, (place, *_) in places.items():
            if each not in answered:
                new[each] = (_small(images[place], stage.side), prompt_of(stage, texts[place] or ""))
        answered |= _ask(stage, new, replies)
    for each, found in places.items():
        for place in found:
            ratings[place] = _rating(stage, *answered[each]) if each in answered else Rating(error="no_image")
    return [rating for rating in ratings if rating is not None]


def _ask(
    stage: Judge, asked: dict[bytes, tuple[Image.Image | None, str]], replies: ReplyCache
) -> dict[bytes, tuple[Reply, float]]:
    """Replies to new questions, each kept as soon as it is there; those whose image cannot be decoded have none."""
    shown = [(each, image, prompt) for each, (image, prompt) in asked.items() if image is not None]
    if not shown:
        return {}
    answers: dict[bytes, tuple[Reply, float]] = {}
    model = judge(stage.model, stage.endpoint, stage.device, stage.max_tokens)
    last = time.monotonic()

    def keep(place: int, reply: Reply) -> None:
        nonlocal last
        now = time.monotonic()
        answers[shown[place][0]] = reply, now - last  # the differences add up to the whole, whatever ran beside
        replies.put(shown[place][0], *answers[shown[place][0]])
        last = now

    model.ask([image for _, image, _ in shown], [prompt for _, _, prompt in shown], keep)
    return answers


def _rating(stage: Judge, reply: Reply, seconds: float) -> Rating:
    counts = (reply.tokens_in, reply.tokens_out, seconds)
    if reply.text is None:
        return Rating(None, None, reply.error, *counts)
    score = score_of(reply.text, *stage.scale)
    return Rating(score, reply.text[:SHOWN], "unparsable" if score is None else None, *counts)


def _small(data: bytes | None, side: int) -> Image.Image | None:
    """The image with at most `side` pixels at its shorter and four times that at its longer side."""
    image = decode(data, side).image
    if image is None:
        return None
    width, height = image.size
    scale = min(1.0, side / min(width, height), LONGEST * side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image if scale == 1.0 else image.resize(size, Resampling.BICUBIC)
