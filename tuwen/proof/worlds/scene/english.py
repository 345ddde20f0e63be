"""English captions."""

from __future__ import annotations

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.graph import Drawn, Scene, Wording, converse


class English:
    """How a scene is told in English."""

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
        nouns = [self.named(each, article="the") for each in scene.objects]
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
