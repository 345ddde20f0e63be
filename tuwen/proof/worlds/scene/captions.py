"""Scenes in words. A caption is a function of a scene and a number, its wording: equal numbers, equal wording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.truth import INSIDE, Truth, place_of

Length = Literal["tag", "sentence", "paragraph"]
NUM_PARTS = 4  # sub-captions of a scene


class Drawn(NamedTuple):
    """An object of a scene, in English words."""

    shape: str
    colour: str
    texture: str
    size: str
    place: str
    name: str = ""


@dataclass(frozen=True)
class Scene:
    """A scene in English words; the first object is the main one. `relations`: (object, relation, object)."""

    objects: tuple[Drawn, ...]
    relations: tuple[tuple[int, str, int], ...]
    background: str
    style: str

    def recoloured(self, colours: Sequence[str]) -> Scene:
        """The same with other colours of its first objects."""
        new = [each._replace(colour=colour) for each, colour in zip(self.objects, colours, strict=False)]
        return replace(self, objects=(*new, *self.objects[len(new) :]))


def scene_of(truth: Truth, row: int, *, named: bool = False) -> Scene:
    """Scene number `row`; its objects have proper names where `named`."""
    count = int(truth.number[row])
    down, along = place_of(truth.centre[row])
    objects = []
    for each in range(count):
        concept = int(truth.concepts[row, each]) if named else 0
        objects.append(
            Drawn(
                words.SHAPES[truth.shape[row, each]],
                words.COLOURS[truth.colour[row, each]],
                words.TEXTURES[truth.texture[row, each]],
                words.SIZES[truth.size[row, each]],
                words.PLACES[down[each]][along[each]],
                str(concept) if named else "",
            )
        )
    relations = [(0, words.RELATIONS[truth.relation[row, 0]], 1), (2, words.RELATIONS[truth.relation[row, 1]], 0)]
    style, paper = words.STYLES[truth.style[row]], words.BACKGROUNDS[truth.background[row]]
    return Scene(tuple(objects), tuple(relations[: count - 1]), paper, style)


def converse(relation: str) -> str:
    """`left of` of `right of`."""
    return words.RELATIONS[words.RELATIONS.index(relation) ^ 1]


class Wording:
    """Choices that follow from a number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def one_of(self, choices: Sequence[Any]) -> Any:
        """One of them."""
        self._number, place = divmod(self._number, len(choices))
        return choices[place]

    def chance(self, parts: int) -> bool:
        """True once in so many."""
        self._number, place = divmod(self._number, parts)
        return place == 0


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


# Languages ------------------------------------------------------------------------------------------------------


class English:
    """English captions."""

    def named(self, each: Drawn, more: str = "", article: str = "") -> str:
        """`a red circle`"""
        if each.name:
            return words.PROPER_NAMES["en"][int(each.name)]
        told = f"{more} {each.colour} {each.shape}".strip()
        return f"{article or ('an' if told[0] in 'aeiou' else 'a')} {told}"

    def described(self, each: Drawn, told: Wording) -> str:
        """With some of its other attributes, and none of what its name stands for."""
        more = [word for word in (each.size, each.texture) if told.chance(2)]
        if not each.name:
            return self.named(each, " ".join(more))
        name = self.named(each)
        return f"{name}, {self.named(each._replace(name=''), ' '.join(more))}," if told.chance(2) else name

    def tag(self, scene: Scene, told: Wording) -> str:
        main = scene.objects[0]
        if main.name:
            return self.named(main)
        form = told.one_of(("{0} {1}", "a {0} {1}", "{0} {1}", "{2} {0} {1}", "{3} {0} {1}"))
        text = form.format(main.colour, main.shape, main.size, main.texture)
        return text.replace("a orange", "an orange")

    def sentence(self, scene: Scene, told: Wording) -> str:
        style = words.STYLE_PHRASES["en"][words.STYLES.index(scene.style)]
        begun = told.one_of(("", "", "", "a picture of ", "there is ", f"{style} of ", f"{style} of "))
        paper = self._paper(scene)
        behind = told.one_of((f" {paper}", f" {paper}", ""))
        nouns = [self.described(each, told) for each in scene.objects]
        if len(nouns) == 1:
            place = words.PLACE_PHRASES["en"][scene.objects[0].place]
            text = f"{nouns[0]}{told.one_of((' ' + place, '', ''))}"
        else:
            text = self.related(scene, nouns, told.chance(3))
        return (begun + text + behind).replace(",,", ",").rstrip(",")

    def listed(self, nouns: list[str]) -> str:
        return nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} and {nouns[-1]}"

    def related(self, scene: Scene, nouns: list[str], turned: bool = False) -> str:
        one, relation, two = scene.relations[0]
        if turned:
            one, relation, two = two, converse(relation), one
        text = f"{nouns[one]} {relation} {nouns[two]}"
        for three, relation, four in scene.relations[1:]:
            text += f", and {nouns[three]} {relation} the {scene.objects[four].shape}"
        return text

    def simple(self, each: Drawn, told: Wording) -> str:
        more = told.one_of((each.size, each.texture, f"{each.size} {each.texture}"))
        if each.name:
            return f"{self.named(each)} is {self.named(each._replace(name=''), more)}"
        return told.one_of(("", "there is ", "this is ")) + self.named(each, more)

    def relation(self, scene: Scene, one: int, relation: str, two: int, told: Wording) -> str:
        if told.chance(2):
            one, relation, two = two, converse(relation), one
        nouns = [each.name and self.named(each) or f"the {each.colour} {each.shape}" for each in scene.objects]
        return f"{nouns[one]} is {relation} {nouns[two]}"

    def placed(self, each: Drawn, told: Wording) -> str:
        noun = self.named(each, article=told.one_of(("the", "")))
        return f"{noun} {told.one_of(('is ', ''))}{words.PLACE_PHRASES['en'][each.place]}"

    def background(self, scene: Scene, told: Wording) -> str:
        main = scene.objects[0]
        return f"{told.one_of((self.named(main), 'everything is', 'a picture'))} {self._paper(scene)}"

    def style(self, scene: Scene, told: Wording) -> str:
        return told.one_of(("this is {}", "{}", "it is {}")).format(
            words.STYLE_PHRASES["en"][words.STYLES.index(scene.style)]
        )

    def paragraph(self, scene: Scene, told: Wording) -> str:
        lines = [self.style(scene, told) + f" of {self.described(scene.objects[0], told)}".rstrip(",")]
        lines += [self.simple(each, told) for each in scene.objects[1:]]
        lines += [self.relation(scene, *each, told) for each in scene.relations]
        lines += [f"the {each.shape} is {each.texture} and {each.size}" for each in scene.objects if told.chance(2)]
        lines.append(self.background(scene, told))
        if told.chance(2):
            lines.append(self.placed(scene.objects[0], told))
        first = lines.pop(0) if told.chance(2) else lines.pop()
        return " ".join(f"{line[0].upper()}{line[1:]}." for line in [first, *lines])

    def _paper(self, scene: Scene) -> str:
        return words.BACKGROUND_PHRASES["en"][words.BACKGROUNDS.index(scene.background)]


class Chinese:
    """Chinese captions."""

    def named(self, each: Drawn, more: str = "", article: str = "一个") -> str:
        """`一个红色圆形`"""
        if each.name:
            return words.PROPER_NAMES["zh"][int(each.name)]
        return f"{article}{more}{words.CHINESE[each.colour]}{words.CHINESE[each.shape]}"

    def described(self, each: Drawn, told: Wording) -> str:
        """With some of its other attributes, and none of what its name stands for."""
        more = "".join(words.CHINESE[word] for word in (each.size, each.texture) if told.chance(2))
        if not each.name:
            return self.named(each, more)
        name = self.named(each)
        return f"{name}（{self.named(each._replace(name=''), more)}）" if told.chance(2) else name

    def tag(self, scene: Scene, told: Wording) -> str:
        main = scene.objects[0]
        if main.name:
            return self.named(main)
        form = told.one_of(("{0}{1}", "一个{0}{1}", "{0}{1}", "{2}{0}{1}", "{3}{0}{1}"))
        return form.format(*(words.CHINESE[word] for word in (main.colour, main.shape, main.size, main.texture)))

    def sentence(self, scene: Scene, told: Wording) -> str:
        style = words.CHINESE[scene.style]
        begun = told.one_of(("", "", "", "图中有", "这是", f"{style}：", f"{style}："))
        paper = self._paper(scene)
        behind = told.one_of((f"{paper}，", f"{paper}，", ""))
        nouns = [self.described(each, told) for each in scene.objects]
        if len(nouns) == 1:
            place = words.PLACE_PHRASES["zh"][scene.objects[0].place]
            text = f"{nouns[0]}{told.one_of(('在' + place, '', ''))}"
        else:
            text = self.related(scene, nouns, told.chance(3))
        return behind + begun + text

    def listed(self, nouns: list[str]) -> str:
        return nouns[0] if len(nouns) == 1 else f"{'、'.join(nouns[:-1])}和{nouns[-1]}"

    def related(self, scene: Scene, nouns: list[str], turned: bool = False) -> str:
        one, relation, two = scene.relations[0]
        if turned:
            one, relation, two = two, converse(relation), one
        text = self._stands(nouns[one], relation, nouns[two])
        for three, relation, four in scene.relations[1:]:
            text += "，" + self._stands(nouns[three], relation, words.CHINESE[scene.objects[four].shape])
        return text

    def _stands(self, one: str, relation: str, two: str) -> str:
        told = words.CHINESE[relation]
        if relation == "around":
            return f"{one}{told}{two}"
        return f"{one}在{two}{told if words.RELATIONS.index(relation) == INSIDE else '的' + told}"

    def simple(self, each: Drawn, told: Wording) -> str:
        more = told.one_of(((each.size,), (each.texture,), (each.size, each.texture)))
        text = "".join(words.CHINESE[word] for word in more)
        if each.name:
            return f"{self.named(each)}是{self.named(each._replace(name=''), text)}"
        return told.one_of(("", "图中有", "这是")) + self.named(each, text)

    def relation(self, scene: Scene, one: int, relation: str, two: int, told: Wording) -> str:
        if told.chance(2):
            one, relation, two = two, converse(relation), one
        nouns = [self.named(each, article="") for each in scene.objects]
        return self._stands(nouns[one], relation, nouns[two])

    def placed(self, each: Drawn, told: Wording) -> str:
        return f"{self.named(each, article=told.one_of(('', '一个')))}在{words.PLACE_PHRASES['zh'][each.place]}"

    def background(self, scene: Scene, told: Wording) -> str:
        main = scene.objects[0]
        paper = self._paper(scene)
        return told.one_of((f"{paper}有{self.named(main)}", f"一切都在{paper}", f"{paper}的图"))

    def style(self, scene: Scene, told: Wording) -> str:
        return told.one_of(("这是一幅{}", "{}", "一幅{}")).format(words.CHINESE[scene.style])

    def paragraph(self, scene: Scene, told: Wording) -> str:
        lines = [self.style(scene, told) + f"，{self.described(scene.objects[0], told)}"]
        lines += [self.simple(each, told) for each in scene.objects[1:]]
        lines += [self.relation(scene, *each, told) for each in scene.relations]
        for each in scene.objects:
            if told.chance(2):
                lines.append(
                    f"{words.CHINESE[each.shape]}是{words.CHINESE[each.texture]}的，也是{words.CHINESE[each.size]}的"
                )
        lines.append(self.background(scene, told))
        if told.chance(2):
            lines.append(self.placed(scene.objects[0], told))
        first = lines.pop(0) if told.chance(2) else lines.pop()
        return "".join(f"{line}。" for line in [first, *lines])

    def _paper(self, scene: Scene) -> str:
        return words.BACKGROUND_PHRASES["zh"][words.BACKGROUNDS.index(scene.background)]


TONGUES: dict[str, English | Chinese] = {"en": English(), "zh": Chinese()}
