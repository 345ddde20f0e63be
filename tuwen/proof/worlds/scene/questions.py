"""Questions about scenes, with answers of one or two words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.graph import Scene, Wording, converse

KINDS = ("colour", "shape", "texture", "count", "exists", "relation", "background", "style")
COUNTS = {"en": ("one", "two", "three"), "zh": ("一个", "两个", "三个")}
YES_NO = {"en": ("no", "yes"), "zh": ("没有", "有")}
PAPERS = {
    "en": words.BACKGROUNDS,
    "zh": ("白色", "灰色", "黑色", "天空", "草地", "沙地"),
}
ASKED = {
    "en": {
        "colour": "what colour is the {shape}?",
        "shape": "which shape is {colour}?",
        "texture": "which pattern does the {shape} have?",
        "count": "how many shapes are there?",
        "exists": "is there a shape that is {colour} and a {shape}?",
        "relation": "where is the {shape} seen from the {other}?",
        "background": "what is behind everything?",
        "style": "how is this drawn?",
    },
    "zh": {
        "colour": "{shape}是什么颜色？",
        "shape": "{colour}的是什么形状？",
        "texture": "{shape}有什么图案？",
        "count": "图中有几个形状？",
        "exists": "图中有没有{colour}的{shape}？",
        "relation": "{shape}在{other}的哪里？",
        "background": "背景是什么？",
        "style": "这幅画是怎么画的？",
    },
}


class Question(NamedTuple):
    """A question with its answer, in one language."""

    kind: str
    question: str
    answer: str


def asked(scene: Scene, language: str, wording: int, *, training: bool) -> Question:
    """A question about the scene. In training none names a combination that is held out."""
    told = Wording(wording)
    kind = told.one_of([each for each in KINDS if each != "relation" or scene.relations])
    each = told.one_of(scene.objects)
    shape, colour, other = each.shape, each.colour, ""
    say: Callable[[str], str] = (lambda word: words.CHINESE[word]) if language == "zh" else str
    if kind == "exists":
        if yes := told.chance(2):
            answer = YES_NO[language][1]
        else:
            colour = told.one_of(absent(scene, shape, training=training))
            answer = YES_NO[language][yes]
    elif kind == "relation":
        one, relation, two = told.one_of(scene.relations)
        if told.chance(2):
            one, relation, two = two, converse(relation), one
        shape, other = scene.objects[one].shape, say(scene.objects[two].shape)
        answer = say(relation)
    elif kind == "count":
        answer = COUNTS[language][len(scene.objects) - 1]
    elif kind == "background":
        answer = PAPERS[language][words.BACKGROUNDS.index(scene.background)]
    else:
        answer = say({"colour": colour, "shape": shape, "texture": each.texture, "style": scene.style}[kind])
    return Question(kind, ASKED[language][kind].format(shape=say(shape), colour=say(colour), other=other), answer)


def absent(scene: Scene, shape: str, *, training: bool) -> list[str]:
    """Colours that this shape does not have here; in training, none that would make a held-out combination."""
    there = {each.colour for each in scene.objects if each.shape == shape}
    return [
        colour
        for colour in words.COLOURS
        if colour not in there and not (training and words.HELD_OUT[words.NAMES.index(f"{colour} {shape}")])
    ]
