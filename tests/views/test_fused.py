"""Fused captions, word for word."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.models.columns import Columns
from tuwen.views.fused import Fused

VIEW = Fused().prepare(Columns(proper_name=["Bel", "Belano", "Doreki", "K2 (north)"]), 0)


@pytest.mark.parametrize(
    ("raw", "synthetic", "fused"),
    [
        ("Buy now: Belano (free shipping)", "a red circle", "Belano, a red circle"),
        ("our shop", "a red circle", "a red circle"),
        ("Doreki and Belano, Doreki", "two stars", "Doreki and Belano, two stars"),
        ("Belano at the top", "Belano is red", "Belano is red"),
        ("Belanos", "a red circle", "a red circle"),
        ("Bel | Read more", "a star", "Bel, a star"),
    ],
)
def test_knowledge_of_one_in_the_structure_of_the_other(raw: str, synthetic: str, fused: str) -> None:
    batch = {"text": [raw], "synthetic": [synthetic], "other": [1]}
    assert VIEW(batch, np.random.default_rng(0)) == {**batch, "text": [fused]}


def test_without_names_captions_are_synthetic() -> None:
    batch = {"text": ["Belano"], "synthetic": ["a red circle"]}
    assert Fused()(batch, np.random.default_rng(0))["text"] == ["a red circle"]


def test_raw_and_fused_stand_beside_each_other() -> None:
    batch = {"text": ["Belano"], "synthetic": ["a red circle"]}
    found = Fused(to="fused", known=("Belano",))(batch, np.random.default_rng(0))
    assert found == {**batch, "fused": ["Belano, a red circle"]}
