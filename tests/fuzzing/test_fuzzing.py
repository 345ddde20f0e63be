"""Readers take any bytes: rows, or an error made for the user. Longer runs: `make fuzz`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz import KEPT, mutated
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import READERS


@pytest.mark.parametrize("name", READERS)
def test_the_seed_is_read(name: str) -> None:
    for seed in READERS[name].seeds:
        READERS[name].strictly(seed)


@pytest.mark.parametrize("path", sorted(KEPT.glob("*-*")), ids=lambda path: path.name)
def test_what_once_broke_a_reader(path: Path) -> None:
    READERS[path.name.partition("-")[0]](path.read_bytes())


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_mutated_seeds(name: str, seed: int) -> None:
    choice = random.Random(seed)
    READERS[name](mutated(choice.choice(READERS[name].seeds), choice))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=20)
@given(data=st.binary(max_size=200))
def test_noise(name: str, data: bytes) -> None:
    READERS[name](data)
