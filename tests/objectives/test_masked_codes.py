"""The masked prior: what it hides, what it reads, its loss, and how it draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from networks import TEXTS, small_images, small_network

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.masked_decoding import code_logits, decoded, share_masked
from tuwen.models.network import Network
from tuwen.models.sequences import Piece
from tuwen.objectives.masked_codes import MaskedCodes
from tuwen.proof.trained import Trained
from tuwen.views.drawn import Drawn

IMAGES = small_images(4)


@pytest.fixture(scope="module")
def network() -> Network:
    found = small_network(codes=ImageTokenizer(number=20, patch=4))
    assert found.codebook is not None
    found.codebook.fit(IMAGES, 0)
    return found


def read(network: Network) -> Features:
    return Features(Drawn()({"image": IMAGES, "text": TEXTS}, np.random.default_rng(0)), network)


def test_the_loss_by_hand(network: Network) -> None:
    """With the same codes hidden, place by place from sequences without padding, read in both directions."""
    part, features = MaskedCodes(), read(network)
    tokens, first = features["drawing"], network.vocabulary.first_code
    torch.manual_seed(3)
    loss = part(features)["masked_codes.drawing"]
    torch.manual_seed(3)
    masked, losses = part.masked(tokens, first), []
    for row, hidden in zip(tokens.ids, masked, strict=True):
        length = int((row != network.vocabulary.end).sum())
        ids = row.masked_fill(hidden, network.vocabulary.image_place)[None, :length]
        shares = code_logits(network, ids)[0].log_softmax(-1)
        losses += [-float(shares[place, row[place] - first].detach()) for place in hidden.nonzero()[:, 0].tolist()]
    assert float(loss.detach()) == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_every_place_reads_every_other_and_no_padding(network: Network) -> None:
    ids = read(network)["drawing"].ids
    before = code_logits(network, ids)
    assert network.vocabulary.end in ids[1][:-1]  # a shorter text
    later, code = ids.clone(), int((ids[1] >= network.vocabulary.first_code).nonzero()[-1])
    later[1, code] = network.vocabulary.image_place
    assert not torch.allclose(code_logits(network, later)[1, 0], before[1, 0], atol=1e-4)
    wider = torch.nn.functional.pad(ids, (0, 3), value=network.vocabulary.end)
    assert torch.allclose(code_logits(network, wider)[:, : ids.shape[1]], before, atol=1e-4)


def test_only_codes_are_hidden_and_as_many_as_the_schedule_says(network: Network) -> None:
    tokens, first = read(network)["drawing"], network.vocabulary.first_code
    torch.manual_seed(0)
    found = torch.stack([MaskedCodes().masked(tokens, first) for _ in range(400)])
    assert not found[:, tokens.ids < first].any()
    numbers = found.sum(-1)
    assert numbers.min() >= 1 and numbers.max() == 16
    assert float(numbers.float().mean()) == pytest.approx(16 * 2 / math.pi + 0.5, abs=0.5)  # E cos, rounded up


def test_schedule() -> None:
    assert share_masked(torch.tensor([0.0, 0.5, 1.0])).tolist() == pytest.approx([1, math.sqrt(0.5), 0], abs=1e-6)


def test_no_text_fills_the_place_of_codes(network: Network) -> None:
    batch = Drawn()({"image": IMAGES[:1], "text": ["a red circle " * 30]}, np.random.default_rng(0))
    assert (Features(batch, network)["drawing"].ids >= network.vocabulary.first_code).sum() == 16


def test_a_sequence_without_codes_is_told(network: Network) -> None:
    batch = {"drawing": [[Piece("a red circle")]]}
    with pytest.raises(UsageError, match="holds no codes"):
        MaskedCodes()(Features(batch, network))


def test_codes_that_are_sure_are_kept_and_all_are_told(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = read(network)["drawing"].ids
    places = (ids >= network.vocabulary.first_code).nonzero()[:, 1].view(4, 16)
    hidden: list[list[int]] = []

    def sure(network: Network, now: torch.Tensor) -> torch.Tensor:
        masked = now == network.vocabulary.image_place
        hidden.append([int(place) for place in masked[0].nonzero()[:, 0] - places[0, 0]])
        logits = torch.zeros((*now.shape, 20))
        for place in range(16):
            logits[torch.arange(4), places[:, place], place] = 20 + place
        return logits

    monkeypatch.setattr("tuwen.models.masked_decoding.code_logits", sure)
    generator = torch.Generator().manual_seed(0)
    found = decoded(network, ids, places, steps=4, noise=0.0, generator=generator)
    assert found.tolist() == [list(range(16))] * 4
    # cos(π/8), cos(π/4), cos(3π/8) of 16, rounded up: 15, 12, 7 are missing after the first three steps.
    assert hidden == [list(range(16)), list(range(15)), list(range(12)), list(range(7))]


def test_drawings_at_once(network: Network) -> None:
    model = Trained(network)
    one, two = (model.drawings_at_once(TEXTS, seed=1) for _ in range(2))
    assert one.shape == (4, 16, 16, 3) and np.array_equal(one, two)
    assert not np.array_equal(one, model.drawings_at_once(TEXTS, seed=2))
