"""Chinese captions."""

from __future__ import annotations

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.graph import Drawn, Scene, Wording, converse
from tuwen.proof.worlds.scene.truth import INSIDE


class Chinese:
    """How a scene is told in Chinese."""

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
