"""The standard world: frozen, true to what it paints, and moved by its knobs alone."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from tuwen.models.columns import Columns
from tuwen.models.sequences import Piece
from tuwen.proof.worlds.scene import words
from tuwen.proof.worlds.scene.painting import JITTER, NOISE
from tuwen.proof.worlds.scene_documents import SceneDocuments
from tuwen.proof.worlds.scenes import HELD_OUT_SHARE, Scenes

EVERYTHING = {
    "mismatch": 0.3,
    "zipf": 0.7,
    "chinese": 0.5,
    "boilerplate": 0.3,
    "duplicates": 0.3,
    "hallucination": 0.3,
    "omission": 0.2,
    "watermark": 0.3,
    "labelled": 0.2,
    "names": True,
}
# What each version of a world draws. Whoever changes a world gives it a new VERSION, and with it a line here: results
# on one version and on another are not of one world.
DIGESTS = {
    ("Scenes", 1): "2413b53194e2d1e29acef721385b6324",
    ("SceneDocuments", 1): "7a0104a9e011f563ac42362890122b13",
}


@cache
def train(number: int = 400, seed: int = 1, **knobs: Any) -> Columns:
    return Scenes(side=16, **knobs).train(number, seed)


def digest(world: Any) -> str:
    """Of 40 training and 40 test examples."""
    found = hashlib.sha256()
    for columns in (world.train(40, 5), world.test(40, 5)):
        for name in columns:
            found.update(name.encode() + b"\0")
            if isinstance(columns[name], np.ndarray):
                found.update(columns[name].dtype.str.encode() + columns[name].tobytes())
            else:
                found.update(json.dumps(columns[name], default=plain).encode())
    return found.hexdigest()[:32]


def plain(value: Any) -> Any:
    return [value.value, value.learnt] if isinstance(value, Piece) else value.tolist()


@pytest.mark.parametrize("world", [Scenes(**EVERYTHING), SceneDocuments(elsewhere=0.2, missing=0.2)])
def test_a_version_is_frozen(world: Any) -> None:
    assert digest(world) == DIGESTS[type(world).__name__, world.VERSION], "a changed world needs a new VERSION"


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    few, many = train(30, **EVERYTHING), train(600, **EVERYTHING)
    for name in few:
        assert equal(few[name], many[name][:30]), name


def test_seeds_differ() -> None:
    assert train(30)["text"] != train(30, seed=2)["text"]


# Knobs ----------------------------------------------------------------------------------------------------------

TOLD = {"text", "true_text", "english_text", "chinese_text"}
IN_A_LANGUAGE = {"text", "true_text", "tag_text", "sentence_text", "paragraph_text", "sentences", "synthetic"} | {
    "language", "proper_name", "question", "answer", "swapped_text", "reversed_text"
}  # fmt: skip


@pytest.mark.parametrize(
    ("knobs", "moved"),
    [
        ({"mismatch": 0.5}, {"text", "is_true", "is_mismatched"}),
        ({"boilerplate": 0.5}, {"text", "is_true", "has_boilerplate"}),
        ({"hallucination": 0.5}, {"synthetic"}),
        ({"omission": 0.5}, {"synthetic"}),
        ({"watermark": 0.5}, {"image", "has_watermark"}),
        ({"length": "paragraph"}, TOLD),
        ({"length": "tag"}, TOLD),
        ({"names": True}, {"text", "true_text"}),
        ({"chinese": 0.5}, IN_A_LANGUAGE),
    ],
    ids=lambda value: (
        next(iter(value)) if isinstance(value, dict) else ""
    ),  # the text of a set is not the same everywhere
)
def test_a_knob_moves_what_it_should_and_nothing_else(knobs: dict[str, Any], moved: set[str]) -> None:
    before, after = train(), train(**knobs)
    assert {name for name in before if not equal(before[name], after[name])} == moved


@pytest.mark.parametrize("knob", ["duplicates", "labelled"])
def test_rows_that_a_knob_does_not_reach_stay(knob: str) -> None:
    before, after = train(), train(**{knob: 0.3})
    reached = after["source"] == 0 if knob == "labelled" else after["is_duplicate"]
    for name in ("text", "scene", "synthetic", "question"):
        alike = np.array([one == two for one, two in zip(before[name], after[name], strict=True)])
        assert alike[~reached].all()
        assert not alike[reached].all()


@pytest.mark.parametrize(
    ("knob", "column"),
    [
        ("mismatch", "is_mismatched"),
        ("boilerplate", "has_boilerplate"),
        ("watermark", "has_watermark"),
        ("duplicates", "is_duplicate"),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_shares_are_as_asked(knob: str, column: str, share: float) -> None:
    found = train(1024, **{knob: share})[column]
    most = (256 - 1) / 256 if knob == "duplicates" else 1.0  # the first row of a block repeats nothing
    assert abs(found.mean() - min(share, most)) <= 4 * np.sqrt(share * (1 - share) / 1024)


def test_shares_of_languages_labels_and_wrong_slots() -> None:
    found = train(1024, chinese=0.3, labelled=0.25, style=("outline", "flat"))
    assert abs(np.mean([each == "zh" for each in found["language"]]) - 0.3) < 0.06
    labelled = found["source"] == 0
    assert abs(labelled.mean() - 0.25) < 0.06
    rows = np.flatnonzero(labelled)
    assert found["is_covered"][rows].all()
    assert {found["style"][row] for row in rows} == {"outline"}
    assert all(
        found["text"][row] == found["name" if found["language"][row] == "en" else "name_zh"][row] for row in rows
    )
    wrong = train(1024, objects=(1,), hallucination=0.2)
    truth = [f"{'an' if name[0] == 'o' else 'a'} {name}" for name in wrong["name"]]
    right = np.mean([one == two for one, two in zip(wrong["synthetic"], truth, strict=True)])
    assert abs(right - 0.8**2) < 0.06  # two slots, colour and shape


def test_half_of_the_duplicates_are_copies() -> None:
    found = train(1024, duplicates=0.5)
    rows = np.flatnonzero(found["is_duplicate"])
    copied = np.array([np.array_equal(found["image"][row], found["image"][found["same"][row]]) for row in rows])
    assert abs(copied.mean() - 0.5) < 0.1
    for row in rows:
        assert found["scene"][row]["objects"] == found["scene"][found["same"][row]]["objects"]


def test_mismatched_texts_do_not_name_what_the_image_shows() -> None:
    found = train(mismatch=1.0)
    for text, scene in zip(found["text"], found["scene"], strict=True):
        named = [name for name in words.NAMES if name in text]
        assert named
        # The main object of the other scene is none of this one's; its company may be.
        assert set(named) - {f"{each['colour']} {each['shape']}" for each in scene["objects"]}


@pytest.mark.parametrize("zipf", [0.0, 1.2])
def test_names_are_as_frequent_as_zipf_says(zipf: float) -> None:
    found = np.bincount(train(4096, zipf=zipf, objects=(1,))["concept"], minlength=words.NUM_NAMES)
    shares = np.arange(1.0, len(words.BY_FREQUENCY) + 1) ** -zipf
    wanted = 4096 * shares / shares.sum()
    assert (abs(found[words.BY_FREQUENCY] - wanted) < 5 * np.sqrt(wanted) + 1).all()


# What training must not show --------------------------------------------------------------------------------------

HELD_OUT = [
    (words.NAMES[each], words.CHINESE_NAMES[each], *words.NAMES[each].split())
    for each in np.flatnonzero(words.HELD_OUT)
]


@pytest.mark.parametrize("knobs", [EVERYTHING, {"length": "paragraph", "chinese": 0.5, "hallucination": 1.0}], ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_training_text_has_a_held_out_combination(knobs: dict[str, Any], seed: int) -> None:
    columns = train(768, seed, **knobs)
    texts = "\n".join(sorted(set(columns.texts)))
    asked = sorted(text for text in set(columns["question"]) if "shape that is" in text)
    assert asked
    for name, chinese, colour, shape in HELD_OUT:
        assert f"{name} " not in f"{texts} ".replace("\n", " ")
        assert chinese not in texts
        assert not [text for text in asked if colour in text and shape in text]
    assert not columns["is_held_out"].any()
    shown = {f"{each['colour']} {each['shape']}" for scene in columns["scene"] for each in scene["objects"]}
    assert not shown & {name for name, *_ in HELD_OUT}
    assert len(shown) == words.NUM_NAMES - len(HELD_OUT)


def test_no_test_image_is_ever_a_training_image() -> None:
    """Their bytes add up to an even and to an odd number: true for all seeds, seen for some."""
    seen = set()
    for seed in range(3):
        images = train(256, seed, **EVERYTHING)["image"]
        assert not (images.reshape(256, -1).sum(1) % 2).any()
        seen |= {image.tobytes() for image in images}
    for seed in range(3):
        images = Scenes(side=16, **EVERYTHING).test(256, seed)["image"]
        assert (images.reshape(256, -1).sum(1) % 2).all()
        assert not seen & {image.tobytes() for image in images}


def test_tests_have_no_faults() -> None:
    found = Scenes(side=16, **EVERYTHING).test(1024, 1)
    for name in ("is_mismatched", "has_boilerplate", "has_watermark", "is_duplicate"):
        assert not found[name].any()
    assert found["is_true"].all()
    assert found["text"] == found["true_text"]
    assert abs(found["is_held_out"].mean() - HELD_OUT_SHARE) < 0.05
    assert (found["is_held_out"] != found["is_seen"]).all()
    assert min(np.bincount(found["concept"])[words.HELD_OUT]) > 0


# Truth and painting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [16, 32, 48])
def test_masks_fill_their_boxes(side: int) -> None:
    """Where an object lies over another it hides it; no pixel of an object is outside of its box."""
    found = Scenes(side=side).train(300, 3)
    for mask, scene in zip(found["mask"], found["scene"], strict=True):
        assert mask.max() == len(scene["objects"])
        last = len(scene["objects"])
        for number, each in enumerate(scene["objects"], start=1):
            ys, xs = np.nonzero(mask == number)
            left, top, right, bottom = each["box"]
            assert left <= xs.min() and xs.max() < right and top <= ys.min() and ys.max() < bottom
            if number == last and left >= 0 and top >= 0 and right <= side and bottom <= side:
                assert [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] == each["box"]


def test_objects_have_their_colour() -> None:
    found = Scenes(style=("flat",)).train(300, 3)
    checked = 0
    for image, mask, scene in zip(found["image"], found["mask"], found["scene"], strict=True):
        for number, each in enumerate(scene["objects"], start=1):
            inner = mask == number  # without its rim, which the background shines through
            for axis in (0, 1):
                inner = inner & (np.roll(mask, 1, axis) == number) & (np.roll(mask, -1, axis) == number)
            if each["texture"] == "plain" and inner.any():
                colour = np.median(image[inner], axis=0)
                assert (abs(colour - words.RGB[words.COLOURS.index(each["colour"])]) <= JITTER + NOISE).all()
                checked += 1
    assert checked > 100


def test_objects_stand_as_their_relation_says() -> None:
    found = Scenes().train(400, 3)
    seen = set()
    for scene in found["scene"]:
        for one, relation, two in scene["relations"]:
            a, b = (scene["objects"][each]["box"] for each in (one, two))
            apart = {
                "left of": a[2] <= b[0],
                "right of": b[2] <= a[0],
                "above": a[3] <= b[1],
                "below": b[3] <= a[1],
                "around": a[0] < b[0] and a[1] < b[1] and a[2] > b[2] and a[3] > b[3],
            }
            assert apart[relation]
            seen.add(relation)
    assert seen == set(words.RELATIONS) - {"inside"}


def test_the_columns_agree() -> None:
    found = train()
    for row, scene in enumerate(found["scene"]):
        main = scene["objects"][0]
        assert found["name"][row] == f"{main['colour']} {main['shape']}" == words.NAMES[found["concept"][row]]
        assert found["name_zh"][row] == words.CHINESE_NAMES[found["concept"][row]]
        assert [found[each][row] for each in ("shape", "colour", "texture", "size", "place")] == [
            main[each] for each in ("shape", "colour", "texture", "size", "place")
        ]
        assert found["has_relation"][row] == (len(scene["objects"]) > 1)
        assert found["name"][row] in found["text"][row]
        assert (
            found["name_zh"][row] in found["chinese_text"][row]
            or words.CHINESE[main["colour"]] in (found["chinese_text"][row])
        )


@pytest.mark.parametrize("side", [16, 17, 20, 24, 64])
def test_watermarks_on_images_of_any_size(side: int) -> None:
    plain, found = (Scenes(side=side, watermark=share).train(40, 1) for share in (0.0, 1.0))
    changed = (plain["image"] != found["image"]).reshape(40, -1).sum(1)
    assert (changed > 10).all()


def equal(one: Any, two: Any) -> bool:
    return bool(np.array_equal(one, two)) if isinstance(one, np.ndarray) else one == two
