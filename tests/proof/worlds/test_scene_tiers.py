"""Two tiers: how many, how good, and nothing in both."""

from __future__ import annotations

import numpy as np

from tuwen.proof.worlds.scene_tiers import SceneTiers
from tuwen.proof.worlds.scenes import Scenes

WORLD = SceneTiers(0.25, Scenes(objects=(1,)), Scenes(objects=(1,), mismatch=0.5))


def test_tiers_have_their_shares_and_their_faults() -> None:
    train = WORLD.train(400, 3)
    strong = np.array(train["tier"]) == "strong"
    assert strong.sum() == 100
    assert not train["is_mismatched"][strong].any()
    assert abs(train["is_mismatched"][~strong].mean() - 0.5) < 0.1
    assert len({image.tobytes() for image in train["image"]}) == 400


def test_tests_are_clean_and_of_the_strong_tier() -> None:
    test = WORLD.test(50, 3)
    assert not test["is_mismatched"].any() and set(test["tier"]) == {"strong"}
    train = {image.tobytes() for image in WORLD.train(100, 3)["image"]}
    assert not train & {image.tobytes() for image in test["image"]}


def test_equal_seeds_equal_examples() -> None:
    one, two = WORLD.train(40, 5), WORLD.train(40, 5)
    assert one["text"] == two["text"] and np.array_equal(one["image"], two["image"])
