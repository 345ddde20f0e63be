"""Families of pictures, and splits that keep them together."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tuwen.errors import UsageError
from tuwen.proof.worlds.groups import BLOCK, chosen, groups_of, in_test, others, pictures, squared


def of_two_pixels(*rows: list[int]) -> np.ndarray:
    """Each of two pixels, by their six channels."""
    return np.array(rows, np.uint8).reshape(len(rows), 1, 2, 3)


def test_groups_by_hand() -> None:
    one = [200, 0, 0, 0, 0, 0]
    brighter = [255, 55, 55, 55, 55, 55]  # the same, but for the light
    other = [0, 0, 0, 0, 0, 200]
    grey, white = [9] * 6, [255] * 6
    assert groups_of(of_two_pixels(one, other, brighter)).tolist() == [0, 1, 0]
    assert groups_of(of_two_pixels(one, other, grey, white, grey)).tolist() == [0, 1, 2, 3, 2]
    # Through its key, `other` brings what looks like it.
    assert groups_of(of_two_pixels(one, other, grey, other), ["a", "b", "a", "a"]).tolist() == [0, 0, 0, 0]


def test_the_cosine_is_the_one_of_centred_pixels() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (1, 4, 4, 3))
    images = np.clip(base + rng.normal(0, 60, (40, 4, 4, 3)), 0, 255).astype(np.uint8)
    alike = np.corrcoef(images.reshape(40, -1).astype(float)) > 0.8
    labels = groups_of(images, cosine=0.8)
    reach = np.linalg.matrix_power(alike.astype(float), 40) > 0
    assert np.array_equal(labels[:, None] == labels, reach)
    assert 1 < len(set(labels.tolist())) < 40


def test_pictures_of_different_blocks_are_compared() -> None:
    images = np.random.default_rng(0).integers(0, 256, (BLOCK + 5, 4, 4, 3)).astype(np.uint8)
    images[BLOCK + 2] = images[7] ^ 1
    labels = groups_of(images)
    assert labels[BLOCK + 2] == labels[7] == 7


def test_no_picture_at_all() -> None:
    assert len(groups_of(np.zeros((0, 4, 4, 3), np.uint8))) == 0


def test_a_test_of_whole_groups() -> None:
    groups = np.repeat(np.arange(31), [70, *[1] * 30])
    for seed in range(5):
        found = in_test(groups, 0.2, seed)
        assert found.sum() == 20
        assert not found[groups == 0].any()  # larger than the test
    assert not np.array_equal(in_test(groups, 0.2, 0), in_test(groups, 0.2, 1))
    pairs = np.repeat(np.arange(50), 2)
    found = in_test(pairs, 0.3, 0)
    assert found.sum() == 30 and np.array_equal(found[::2], found[1::2])


def test_others_are_of_another_group() -> None:
    groups = np.array([0, 0, 0, 3])
    found = others(np.random.default_rng(0), groups, np.tile([0, 1, 3], 50))
    assert (groups[found] != groups[np.tile([0, 1, 3], 50)]).all()
    assert set(found[2::3].tolist()) == {0, 1, 2}
    with pytest.raises(UsageError, match="one group"):
        others(np.random.default_rng(0), groups[:3], np.array([0]))


def test_more_than_there_is() -> None:
    assert chosen(3, 2, "rows").tolist() == [0, 1]
    with pytest.raises(UsageError, match="4 rows are asked for and there are 3"):
        chosen(3, 4, "rows")


def test_thumbnails_are_whole() -> None:
    found = squared(Image.new("RGB", (40, 20), "red"), 8)
    assert found.dtype == np.uint8
    assert (found[:2] == 255).all() and (found[6:] == 255).all()
    assert (found[2:6] == [255, 0, 0]).all()


def test_files_become_pictures() -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(file, "PNG")
    found = pictures(file.getvalue(), 32, 16)
    assert found is not None
    assert [each.shape for each in found] == [(32, 32, 3), (16, 16, 3)]
    assert (found[0] == [255, 0, 0]).all()
    assert pictures(b"no image", 32) is None
    assert pictures(None, 32) is None
