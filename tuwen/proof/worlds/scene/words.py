"""The words of drawn scenes in English and Chinese. Their order is that of their numbers: frozen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LANGUAGES = ("en", "zh")
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
TEXTURES = ("plain", "striped", "dotted", "checkered")
SIZES = ("small", "medium", "large")
STYLES = ("flat", "outline", "sketch", "shaded")
BACKGROUNDS = ("white", "grey", "black", "sky", "grass", "sand")
RELATIONS = ("left of", "right of", "above", "below", "around", "inside")  # neighbours are converse: number ^ 1
PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
RGB = np.array(
    [
        (214, 40, 40),
        (245, 130, 30),
        (240, 215, 50),
        (50, 160, 70),
        (45, 95, 205),
        (125, 55, 165),
        (245, 140, 185),
        (125, 80, 45),
    ],
    np.int32,
)

CHINESE = {
    **dict(zip(SHAPES, ("圆形", "方形", "三角形", "菱形", "星形", "十字", "圆环", "心形"), strict=True)),
    **dict(zip(COLOURS, ("红色", "橙色", "黄色", "绿色", "蓝色", "紫色", "粉色", "棕色"), strict=True)),
    **dict(zip(TEXTURES, ("素面", "条纹", "圆点", "格子"), strict=True)),
    **dict(zip(SIZES, ("小号", "中号", "大号"), strict=True)),
    **dict(zip(STYLES, ("平涂画", "勾线画", "素描", "立体画"), strict=True)),
    **dict(zip(RELATIONS, ("左边", "右边", "上方", "下方", "里面有", "里面"), strict=True)),
}
BACKGROUND_PHRASES = {
    "en": (
        "on a white background",
        "on a grey background",
        "on a black background",
        "in the sky",
        "on the grass",
        "on the sand",
    ),
    "zh": ("白色背景上", "灰色背景上", "黑色背景上", "天空中", "草地上", "沙地上"),
}
STYLE_PHRASES = {
    "en": ("a flat drawing", "an outline drawing", "a sketch", "a shaded drawing"),
    "zh": ("平涂画", "勾线画", "素描", "立体画"),
}
PLACE_PHRASES = {
    "en": {
        "top left": "in the top left corner",
        "top": "at the top",
        "top right": "in the top right corner",
        "left": "on the left",
        "middle": "in the middle",
        "right": "on the right",
        "bottom left": "in the bottom left corner",
        "bottom": "at the bottom",
        "bottom right": "in the bottom right corner",
    },
    "zh": {
        "top left": "左上角",
        "top": "顶部",
        "top right": "右上角",
        "left": "左侧",
        "middle": "正中",
        "right": "右侧",
        "bottom left": "左下角",
        "bottom": "底部",
        "bottom right": "右下角",
    },
}

NUM_NAMES = len(COLOURS) * len(SHAPES)
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
CHINESE_NAMES = tuple(f"{CHINESE[colour]}{CHINESE[shape]}" for colour in COLOURS for shape in SHAPES)


def _held_out() -> NDArray[np.bool_]:
    """Colour-shape combinations that training never shows: 12 of 64, each colour and shape once or twice."""
    held = np.zeros((len(COLOURS), len(SHAPES)), bool)
    for colour in range(len(COLOURS)):
        held[colour, (colour + 3) % 8] = True
        if colour % 2 == 0:
            held[colour, (colour + 6 + colour // 4) % 8] = True
    return held.reshape(-1)


HELD_OUT = _held_out()
SEEN = np.flatnonzero(~HELD_OUT)
# Names by how often a Zipf world shows them. The rarest fifth is the tail, whatever the exponent.
BY_FREQUENCY = np.random.default_rng(1).permutation(SEEN)
TAIL = np.zeros(NUM_NAMES, bool)
TAIL[BY_FREQUENCY[-(len(BY_FREQUENCY) // 5) :]] = True

# Which name a concept has tells nothing of its colour and shape.
_ORDER = [int(each) for each in np.random.default_rng(2026).permutation(NUM_NAMES)]
_FIRST = ("Bel", "Dor", "Fen", "Gal", "Kir", "Lum", "Nov", "Tav")
_LAST = ("ano", "eki", "ido", "oma", "ura", "ysa", "eth", "olf")
_ZH_FIRST, _ZH_LAST = "贝多芬加基鲁诺塔", ("安娜", "埃基", "伊多", "奥马", "乌拉", "伊萨", "埃斯", "奥夫")
PROPER_NAMES = {
    "en": tuple(_FIRST[each // 8] + _LAST[each % 8] for each in _ORDER),
    "zh": tuple(_ZH_FIRST[each // 8] + _ZH_LAST[each % 8] for each in _ORDER),
}
COVERED = BY_FREQUENCY[::2]  # names that labelled images have
