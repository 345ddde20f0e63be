"""LCL's contrast by loops over documents, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import small_images, small_network

from tuwen.models.features import Features
from tuwen.models.sequences import Piece
from tuwen.objectives.context_contrast import ContextContrast
from tuwen.objectives.next_token import NextToken

NETWORK, PART = small_network(sequence=80), ContextContrast()
IMAGES = small_images(4)


def image(number: int) -> Piece:
    return Piece(IMAGES[number], learnt=False)


DOCUMENTS = [
    [Piece("a red circle"), image(0), Piece("a blue star"), image(1)],
    [image(2), Piece("no title")],  # nothing stands before this one
    [Piece("two pink hearts"), image(3)],
]


def read(documents: list[list[Piece]], network: object = NETWORK) -> Features:
    torch.manual_seed(1)
    return Features({"document": documents}, network, own={PART: PART.module(network)})  # type: ignore[arg-type]


def state_behind(pieces: list[Piece], features: Features) -> torch.Tensor:
    """Of the mark that follows these pieces, from a sequence that ends there."""
    alone = Features({"document": [[*pieces, Piece(np.empty(0, np.int64))]]}, NETWORK)
    mark = alone["document"].ids[0].tolist().index(NETWORK.vocabulary.image_start, alone["document"].ids.shape[1] - 2)
    return features.own[PART](alone["document.states"][0, mark])


def test_the_loss_by_hand() -> None:
    """Three of four images; the state at each mark is that of what stands before it, read alone."""
    features = read(DOCUMENTS)
    loss = PART(features)["context_contrast.document"]
    before = [DOCUMENTS[0][:1], DOCUMENTS[0][:3], DOCUMENTS[2][:1]]
    contexts = torch.stack([state_behind(pieces, features) for pieces in before])
    contexts = contexts / contexts.norm(dim=-1, keepdim=True)
    images = Features({"image": IMAGES[[0, 1, 3]]}, NETWORK)["image.embedding"]
    total = 0.0
    for one in range(3):
        scores = [float((NETWORK.logit_scale.exp() * images[one] @ contexts[two]).detach()) for two in range(3)]
        turned = [float((NETWORK.logit_scale.exp() * images[two] @ contexts[one]).detach()) for two in range(3)]
        total += np.logaddexp.reduce(scores) - scores[one] + np.logaddexp.reduce(turned) - turned[one]
    assert float(loss.detach()) == pytest.approx(total / 6, abs=1e-5)


def test_what_stands_behind_an_image_or_in_it_changes_no_context() -> None:
    features = read(DOCUMENTS)
    other = read([[Piece("a red circle"), image(1), Piece("no title"), image(0)], *DOCUMENTS[1:]])
    place = features["document"].image_start[0]
    assert torch.allclose(features["document.states"][0, place], other["document.states"][0, place], atol=1e-5)


def test_documents_without_images_are_plain_language() -> None:
    features = read([[Piece("a red circle")], [Piece("two pink hearts"), Piece("no title")]])
    losses = {**PART(features), **NextToken(sequence="document")(features)}
    text_only = small_network(sequence=80, image=None)
    text_only.load_state_dict(NETWORK.state_dict(), strict=False)
    plain = NextToken(sequence="document")(
        read([[Piece("a red circle")], [Piece("two pink hearts"), Piece("no title")]], text_only)
    )
    assert float(losses["context_contrast.document"].detach()) == 0
    both = [float(each["next_token.document"].detach()) for each in (losses, plain)]
    assert both[0] == pytest.approx(both[1], abs=1e-5)


def test_both_towers_learn_from_it() -> None:
    features = read(DOCUMENTS)
    PART(features)["context_contrast.document"].backward()
    for tower in (NETWORK.image, NETWORK.language):
        assert tower is not None
        assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in tower.parameters())
