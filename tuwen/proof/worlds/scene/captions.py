"""Scenes in words. A caption is a function of a scene and a number, its wording: equal numbers, equal wording."""

from __future__ import annotations

from typing import Literal

from tuwen.proof.worlds.scene.chinese import Chinese
from tuwen.proof.worlds.scene.english import English
from tuwen.proof.worlds.scene.graph import Scene, Wording

Length = Literal["tag", "sentence", "paragraph"]
NUM_PARTS = 4  # sub-captions of a scene
TONGUES: dict[str, English | Chinese] = {"en": English(), "zh": Chinese()}


def caption(scene: Scene, length: Length, language: str, wording: int) -> str:
    """A true caption. Every object that it mentions comes with its colour and shape, the main one always."""
    told = Wording(wording)
    tongue = TONGUES[language]
    if length == "tag":
        return tongue.tag(scene, told)
    if length == "sentence":
        return tongue.sentence(scene, told)
    return tongue.paragraph(scene, told)


def parts(scene: Scene, language: str, wording: int) -> list[str]:
    """`NUM_PARTS` true sub-captions, each of something else: objects, how they stand, background or style."""
    told, tongue = Wording(wording), TONGUES[language]
    found = [tongue.simple(each, told) for each in scene.objects[:2]]
    found += [tongue.relation(scene, *each, told) for each in scene.relations[:1]]
    behind = [tongue.background(scene, told), tongue.style(scene, told)]
    if len(scene.objects) == 1:
        return [*found, tongue.placed(scene.objects[0], told), *behind]
    return [*found, told.one_of(behind)]


def plain(scene: Scene, language: str) -> str:
    """As a captioner writes: colours, shapes and relations, always worded alike."""
    tongue = TONGUES[language]
    if not scene.relations:
        return tongue.listed([tongue.named(each) for each in scene.objects])
    return tongue.related(scene, [tongue.named(each) for each in scene.objects])
