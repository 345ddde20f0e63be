"""The loss by hand, and training to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tuwen.models.contrastive import (  # noqa: E402
    Examples,
    contrastive_loss,
    deterministic,
    fit,
    image_embeddings,
    text_embeddings,
)
from tuwen.models.scorer import SIDE, Shape, new_network, tokens_of, train_tokenizer  # noqa: E402

SMALL = Shape(width=32, layers=1, text_width=32, text_layers=1, vocabulary=300, context=16)
COLOURS = {"red": (220, 20, 20), "绿色": (20, 200, 20), "blue": (20, 20, 220), "白色": (250, 250, 250)}


def test_the_loss_of_hand_worked_cases() -> None:
    eye = torch.eye(2)
    no = torch.zeros((2, 2), dtype=torch.bool)
    expected = math.log(1 + math.exp(-3))  # each row: 3 against 0
    assert contrastive_loss(eye, eye, 3.0, no).item() == pytest.approx(expected)
    assert contrastive_loss(eye, eye.flip(0), 3.0, no).item() == pytest.approx(math.log(1 + math.exp(3)))


def test_duplicates_are_no_negatives() -> None:
    texts = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    pairs_of_two = contrastive_loss(torch.eye(2), torch.eye(2), 3.0, torch.eye(2, dtype=torch.bool)).item()
    last = math.log(1 + 2 * math.exp(-3))
    assert contrastive_loss(texts, texts, 3.0, same).item() == pytest.approx((2 * pairs_of_two + last) / 3)
    assert contrastive_loss(texts, texts, 3.0, same & False).item() > contrastive_loss(texts, texts, 3.0, same).item()


def examples(count: int = 48) -> tuple[Examples, object]:
    names = list(COLOURS)
    texts = [f"{name} 图 {number}" for number in range(count // 4) for name in names]
    tokenizer = train_tokenizer(texts, SMALL)
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    pixels += np.array([COLOURS[names[number % 4]] for number in range(count)], np.uint8)[:, None, None]
    places = np.arange(count)
    return Examples(pixels, tokens_of(tokenizer, texts), tokenizer.eos_token_id, places, places, places), tokenizer


def trained(seed: int = 0, steps: int = 30) -> dict[str, object]:
    found, tokenizer = examples()
    with deterministic(seed):
        network = new_network(SMALL, tokenizer)
    losses: list[float] = []
    fit(
        network, found, np.arange(40), steps=steps, seed=seed, batch_size=16,
        on_step=lambda step, loss, averaged: losses.append(loss),
    )  # fmt: skip
    rows = np.arange(40, 48)
    similarity = image_embeddings(network, found, rows) @ text_embeddings(network, found, rows).T
    return {"losses": losses, "similarity": similarity, "weights": network.state_dict()}


def test_colours_are_learnt() -> None:
    before = torch.random.get_rng_state()
    first = trained()
    assert torch.equal(before, torch.random.get_rng_state()), "the caller's random numbers are left alone"
    losses, similarity = first["losses"], first["similarity"]
    assert isinstance(losses, list) and len(losses) == 30 and losses[-1] < losses[0] - 0.3
    assert isinstance(similarity, np.ndarray)
    assert (similarity[:4, :4].argmax(1) == np.arange(4)).mean() >= 0.75  # of images and numbers it has not seen


def test_equal_seeds_give_equal_weights_whatever_the_threads() -> None:
    first = trained(steps=4)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = trained(steps=4)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert again["losses"] == first["losses"] != trained(seed=1, steps=4)["losses"]
    for name, weight in first["weights"].items():  # type: ignore[attr-defined]
        assert torch.equal(weight, again["weights"][name])  # type: ignore[index]


def test_embeddings_are_normalised_and_computed_once_for_equal_rows() -> None:
    found, tokenizer = examples()
    with deterministic(0):
        network = new_network(SMALL, tokenizer)
    vectors = image_embeddings(network, found, np.array([3, 0, 3]))
    assert np.array_equal(vectors[0], vectors[2]) and not np.array_equal(vectors[0], vectors[1])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
