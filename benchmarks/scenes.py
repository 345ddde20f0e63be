"""Drawn scenes with captions that are true: shapes, colours, numbers and places, in English and Chinese."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIDE = 128
COLOURS = {
    "red": ("红色", (214, 40, 40)),
    "green": ("绿色", (56, 142, 60)),
    "blue": ("蓝色", (33, 90, 200)),
    "yellow": ("黄色", (250, 204, 21)),
    "purple": ("紫色", (126, 34, 206)),
    "orange": ("橙色", (249, 115, 22)),
    "black": ("黑色", (24, 24, 27)),
    "pink": ("粉色", (244, 114, 182)),
}
GROUNDS = {"white": ("白色", (250, 250, 250)), "gray": ("灰色", (150, 150, 150)), "cyan": ("青色", (165, 240, 245))}
SHAPES = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星形",
    "cross": "十字",
    "ring": "圆环",
}
NUMBERS = {1: ("one", "一个"), 2: ("two", "两个"), 3: ("three", "三个"), 4: ("four", "四个")}
PLACES = {
    "on the left": ("左边", (0.0, 0.15)),
    "on the right": ("右边", (0.5, 0.15)),
    "at the top": ("上方", (0.25, 0.0)),
    "at the bottom": ("下方", (0.25, 0.5)),
}


@dataclass(frozen=True)
class Scene:
    """A number of equal shapes at a place, and one larger shape of another kind behind them or nothing."""

    shape: str
    colour: str
    number: int
    place: str
    ground: str

    @classmethod
    def drawn(cls, rng: random.Random) -> Scene:
        """One of 2,304."""
        chosen = [rng.choice(list(kind)) for kind in (SHAPES, COLOURS, NUMBERS, PLACES, GROUNDS)]
        return cls(*chosen)  # type: ignore[arg-type]

    def caption(self, language: str, rng: random.Random) -> str:
        """A true sentence, in one of two wordings."""
        english = language == "en"
        number, colour, ground = (
            words[0 if english else 1]
            for words in (
                NUMBERS[self.number],
                (self.colour, COLOURS[self.colour][0]),
                (self.ground, GROUNDS[self.ground][0]),
            )
        )
        if english:
            shapes = self.shape if self.number == 1 else f"{self.shape}{'es' if self.shape == 'cross' else 's'}"
            if rng.random() < 0.5:
                return f"{number} {colour} {shapes} {self.place}, {ground} background"
            return f"A picture on {ground} with {number} {colour} {shapes} {self.place}"
        shapes, place = SHAPES[self.shape], PLACES[self.place][0]
        if rng.random() < 0.5:
            return f"{ground}背景的{place}有{number}{colour}的{shapes}"
        return f"{place}：{number}{colour}{shapes}，背景是{ground}"

    def picture(self, rng: random.Random) -> Image.Image:
        """The scene, drawn with sizes, places and tints that vary."""
        image = Image.new("RGB", (SIDE, SIDE), _tinted(GROUNDS[self.ground][1], rng))
        draw = ImageDraw.Draw(image)
        left, top = (share * SIDE for share in PLACES[self.place][1])
        cells = [(column, row) for column in (0, 1) for row in (0, 1)]
        cell = SIDE / 4
        for column, row in rng.sample(cells, self.number):
            radius = cell * rng.uniform(0.3, 0.45)
            x = left + (column + 0.5) * cell + rng.uniform(-0.05, 0.05) * cell
            y = top + (row + 0.5) * cell + rng.uniform(-0.05, 0.05) * cell
            _draw(draw, self.shape, (x, y, radius), _tinted(COLOURS[self.colour][1], rng))
        return image


def _tinted(colour: tuple[int, int, int], rng: random.Random) -> tuple[int, ...]:
    return tuple(max(0, min(255, part + rng.randint(-12, 12))) for part in colour)


def _draw(draw: ImageDraw.ImageDraw, shape: str, place: tuple[float, float, float], colour: tuple[int, ...]) -> None:
    x, y, r = place
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "ring":
        draw.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=max(2, round(r / 3)))
    elif shape == "square":
        draw.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "cross":
        draw.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour)
        draw.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill=colour)
    else:
        points, inner = (3, r) if shape == "triangle" else (5, 0.4 * r)
        corners = []
        for number in range(2 * points):
            angle = math.pi * number / points - math.pi / 2
            length = r if number % 2 == 0 else inner
            if shape == "triangle" and number % 2:
                continue
            corners.append((x + length * math.cos(angle), y + length * math.sin(angle)))
        draw.polygon(corners, fill=colour)
