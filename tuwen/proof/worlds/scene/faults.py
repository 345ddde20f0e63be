"""What is wrong with captions and images from the web, done on purpose and noted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.graph import Scene, Wording, converse
from tuwen.proof.worlds.scene.questions import absent

NUM_SITES = 4
PAGE = {  # what stands around a caption on the pages of each site
    "en": (
        ("Home > Gallery > {} | Click to enlarge", "{} - Share on all channels", "Buy now: {} (free shipping)"),
        ("Photo of the day: {}. All rights reserved.", "{} | Read more", "{} Comments (0) Log in to reply"),
        ("Fig. 3. {}. See section 2 for details.", "Table of contents {} Next page", "{} (image file, 12 kB)"),
        ("{} Download wallpaper HD free", "Tags: drawing, art, {}", "{} - 4.5 stars out of 5"),
    ),
    "zh": (
        ("首页 > 图库 > {} | 点击放大", "{} 分享到朋友圈", "立即购买：{}（包邮）"),
        ("每日一图：{} 版权所有", "{} 阅读全文", "{} 评论(0) 登录后回复"),
        ("图3 {} 详见第二节", "目录 {} 下一页", "{}（图片文件，12 kB）"),
        ("{} 高清壁纸免费下载", "标签：绘画，艺术，{}", "{} 评分4.5星"),
    ),
}
INSTEAD = {
    "en": (
        ("click to enlarge", "image loading", "our shop"),
        ("photo of the day", "advertisement", "read more"),
        ("IMG_2041.JPG", "screenshot", "figure 3"),
        ("free download", "no title", "thumbnail"),
    ),
    "zh": (
        ("点击放大", "图片加载中", "本店商品"),
        ("每日一图", "广告", "阅读全文"),
        ("IMG_2041.JPG", "屏幕截图", "图3"),
        ("免费下载", "无标题", "缩略图"),
    ),
}


def wrapped(text: str, language: str, site: int, wording: int, instead: bool) -> str:
    """A caption with what its page says around it, or only what the page says. `site`: from 0."""
    told = Wording(wording)
    if instead:
        return str(told.one_of(INSTEAD[language][site]))
    return str(told.one_of(PAGE[language][site])).format(text)


def swapped(scene: Scene, wording: int, *, training: bool) -> Scene:
    """False, in the same words: the first two objects have each other's colour, an only one has another colour."""
    if len(scene.objects) > 1:
        return scene.recoloured([scene.objects[1].colour, scene.objects[0].colour])
    colours = absent(scene, scene.objects[0].shape, training=training)
    return scene.recoloured([Wording(wording).one_of(colours)])


def reversed_relation(scene: Scene) -> Scene:
    """False, in the same words: the first two objects stand the other way round."""
    (one, relation, two), *others = scene.relations
    return replace(scene, relations=((one, converse(relation), two), *others))


def imagined(scene: Scene, rng: np.random.Generator, *, hallucination: float, omission: float, training: bool) -> Scene:
    """A scene as a captioner believes it to be: each slot (colour, shape, relation) is wrong with probability
    `hallucination`, each object is left out with probability `omission`, though never all."""
    wrong, left_out, pick = rng.random(2 * 3 + 2), rng.random(3), rng.integers(1 << 30, size=8)
    objects = list(scene.objects)
    for number, each in enumerate(objects):
        if wrong[number] < hallucination:
            shapes = [
                shape
                for shape in words.SHAPES
                if all(shape != other.shape for other in objects)
                and not (training and words.HELD_OUT[words.NAMES.index(f"{each.colour} {shape}")])
            ]
            each = each._replace(shape=shapes[pick[number] % len(shapes)])
        if wrong[3 + number] < hallucination:
            colours = absent(Scene((each,), (), "", ""), each.shape, training=training)
            each = each._replace(colour=colours[pick[3 + number] % len(colours)])
        objects[number] = each
    relations = [
        (one, converse(relation) if wrong[6 + number] < hallucination else relation, two)
        for number, (one, relation, two) in enumerate(scene.relations)
    ]
    kept = [number for number in range(len(objects)) if left_out[number] >= omission]
    kept = kept or [int(pick[6]) % len(objects)]
    place = {number: new for new, number in enumerate(kept)}
    return replace(
        scene,
        objects=tuple(objects[number] for number in kept),
        relations=tuple(
            (place[one], relation, place[two]) for one, relation, two in relations if one in place and two in place
        ),
    )


def stamped(images: NDArray[np.uint8], rows: NDArray[np.int64], sites: NDArray[np.int64]) -> None:
    """Watermarks of sites, in place: bright signs over the lower part of the images of these rows. Images narrower than
    a sign show its beginning."""
    side = images.shape[1]
    signs = np.random.default_rng(7).integers(0, 2, (NUM_SITES, 5, 20)).astype(bool)
    grown = signs.repeat(max(1, side // 32), 1).repeat(max(1, side // 32), 2)[sites, :, :side]
    high, wide = grown.shape[1:]
    first = (side * 3 // 4 - high // 2, (side - wide) // 2)
    area = images[rows, first[0] : first[0] + high, first[1] : first[1] + wide].astype(np.int16)
    area += np.where(grown[..., None], (255 - area) * 5 // 8, 0).astype(np.int16)
    images[rows, first[0] : first[0] + high, first[1] : first[1] + wide] = area.astype(np.uint8)
