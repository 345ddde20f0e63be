"""Words of texts, told from images, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixed import fixed, vectors

from tuwen.objectives.bag_of_words import BagOfWords
from tuwen.views.bag import Bag

TEXTS = ["a Red circle", "a circle a circle", "blue"]


def test_bags_of_texts() -> None:
    found = Bag()({"text": TEXTS}, np.random.default_rng(1))
    assert found["word"] == ["a", "blue", "circle", "red"]
    assert found["mentions"].tolist() == [[1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0]]


def test_each_word_has_an_equal_share() -> None:
    mentions = torch.tensor(Bag()({"text": TEXTS}, np.random.default_rng(1))["mentions"])
    images, words = vectors(3, 6, 1), vectors(4, 6, 2)
    p = [[float(10 * image @ word) for word in words] for image in images]
    log_p = [[each - np.logaddexp.reduce(row) for each in row] for row in p]
    wanted = -((log_p[0][0] + log_p[0][2] + log_p[0][3]) / 3 + (log_p[1][0] + log_p[1][2]) / 2 + log_p[2][1]) / 3
    loss = BagOfWords()(fixed(image=images, word=words, mentions=mentions))["bag_of_words"]
    assert float(loss) == pytest.approx(wanted, abs=1e-5)
