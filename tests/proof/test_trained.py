"""What a network draws and answers, against its own next tokens one at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from networks import TEXTS, small_images, small_network

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.sequences import Piece
from tuwen.objectives.next_token import NextToken, losses_of
from tuwen.proof.trained import Trained
from tuwen.views.asked import Asked
from tuwen.views.captioned import Captioned
from tuwen.views.drawn import Drawn

IMAGES = small_images(4)


@pytest.fixture(scope="module")
def model() -> Trained:
    network = small_network(codes=ImageTokenizer(number=20, patch=4))
    assert network.codebook is not None
    network.codebook.fit(IMAGES, 0)
    return Trained(network)


def read(model: Trained, name: str) -> Features:
    batch = {"image": IMAGES, "text": TEXTS, "question": TEXTS, "answer": TEXTS[::-1]}
    for view in (Captioned(), Drawn(), Asked()):
        batch = view(batch, np.random.default_rng(0))
    return Features(batch, model.network)


@pytest.mark.parametrize("name", ["caption", "drawing", "asked"])
def test_losses_of_learnt_tokens_are_those_over_all_tokens(model: Trained, name: str) -> None:
    features = read(model, name)
    tokens = features[name]
    logits, learnt = features[f"{name}.logits"], tokens.learnt[:, 1:]
    plain = -logits[:, :-1].log_softmax(-1).gather(2, tokens.ids[:, 1:, None])[..., 0]
    assert torch.allclose(losses_of(features, name), plain * learnt, atol=1e-5)
    loss = NextToken(sequence=name)(features)[f"next_token.{name}"]
    assert float(loss.detach()) == pytest.approx(float(plain[learnt].mean().detach()), abs=1e-5)


def test_a_drawing_learns_the_codes_of_its_image_and_nothing_else(model: Trained) -> None:
    tokens, codebook = read(model, "drawing")["drawing"], model.network.codebook
    assert codebook is not None
    for row in range(4):
        learnt = tokens.ids[row][tokens.learnt[row]]
        codes = codebook.encode(IMAGES[row : row + 1])[0] + model.network.vocabulary.first_code
        assert learnt.tolist() == [*codes.tolist(), model.network.vocabulary.end]
    assert not len(tokens.images)


def test_likelihoods_are_of_all_that_is_learnt_or_nothing(model: Trained) -> None:
    """Of an image's codes without the end, and -inf of a text that is cut; no text takes the place of codes."""
    told = [[Piece(text, learnt=False), Piece(image, coded=True)] for text, image in zip(TEXTS, IMAGES, strict=True)]
    features = Features({"drawing": told}, model.network)
    losses, learnt = losses_of(features, "drawing"), features["drawing"].learnt[:, 1:]
    expected = [-float(row[mark][:-1].sum().detach()) for row, mark in zip(losses, learnt, strict=True)]
    assert model.log_likelihoods(told, closed=False) == pytest.approx(expected, abs=1e-4)
    assert model.log_likelihoods(told) == pytest.approx(-losses.sum(1).detach().numpy(), abs=1e-4)
    endless = " ".join(TEXTS * 9)
    assert model.log_likelihoods([[Piece(endless)], [Piece("a")]])[0] == -math.inf
    tokens = model.network.sequence_tokens([[Piece(endless, learnt=False), told[0][1]]])
    assert int(tokens.learnt.sum()) == 17 and tokens.ids.shape[1] == 48


def test_drawings_read_as_much_of_a_long_text_as_training_does(model: Trained) -> None:
    endless = " ".join(TEXTS * 9)
    network, first = model.network, model.network.vocabulary.first_code
    tokens = network.sequence_tokens([[Piece(endless, learnt=False), Piece(IMAGES[0], coded=True)]])
    place = int((tokens.ids[0] >= first).nonzero()[0, 0])
    logits = Features({"drawing": tokens}, network)["drawing.logits"][0, place - 1, first:]
    codes = network.codebook.encode(model.drawings([endless], temperature=1e-4))[0]  # type: ignore[union-attr]
    assert codes[0] == int(logits.argmax())
    assert len(model.drawings_at_once([endless])) == 1


def test_cold_drawings_take_the_likeliest_code_each_time(model: Trained) -> None:
    network = model.network
    assert network.codebook is not None
    found = model.drawings(TEXTS[:2], temperature=1e-4)
    first = network.vocabulary.first_code
    for text, image in zip(TEXTS[:2], found, strict=True):
        codes: list[int] = []
        for _ in range(16):
            piece = [[Piece(text), Piece(np.array(codes, np.int64))]]
            tokens = network.sequence_tokens(piece, closed=False)
            logits = Features({"drawing": tokens}, network)["drawing.logits"][0, -1, first:]
            codes.append(int(logits.argmax()))
        assert np.array_equal(image, network.codebook.decode([codes])[0])


def test_drawings_follow_the_shares_of_codes(model: Trained) -> None:
    """Of one text, many first codes: as often as the network says."""
    network, number = model.network, 150
    assert network.codebook is not None
    drawn = network.codebook.encode(model.drawings(["a blue star"] * number, seed=1))[:, 0]
    tokens = network.sequence_tokens([[Piece("a blue star"), Piece(np.empty(0, np.int64))]], closed=False)
    logits = Features({"drawing": tokens}, network)["drawing.logits"][0, -1, network.vocabulary.first_code :]
    shares = logits.detach().softmax(-1).numpy()
    for code in range(20):
        often = float((drawn == code).mean())
        assert abs(often - shares[code]) < 5 * math.sqrt(shares[code] * (1 - shares[code]) / number) + 1e-3


def test_equal_seeds_equal_drawings(model: Trained) -> None:
    one, two, three = (model.drawings(TEXTS, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, three)


def test_who_has_no_codes_cannot_draw() -> None:
    with pytest.raises(UsageError, match="no codes of images"):
        Trained(small_network()).drawings(["a blue star"])


def test_an_image_read_as_one_vector() -> None:
    """It takes one place, and is added there and to what stands behind it, up to the next image."""
    network = small_network(read="pooled")
    pieces = [Piece("no title"), Piece(IMAGES[0]), Piece("a blue star"), Piece(IMAGES[1]), Piece("a")]
    tokens = network.sequence_tokens([pieces, [Piece("a blue star")]])
    features = Features({"caption": tokens}, network)
    vectors = network.connector(Features({"image": IMAGES[:2]}, network)["image.pooled"])
    hidden = network.language.get_input_embeddings()(tokens.ids)  # type: ignore[union-attr,operator]
    first, second = ((tokens.ids[0] == network.vocabulary.image_place).nonzero()[:, 0]).tolist()
    assert tokens.image_start.tolist() == [first - 1, second - 1]
    hidden[0, first:second] += vectors[0]
    hidden[0, second:] += vectors[1]
    expected = network.language.model(inputs_embeds=hidden).last_hidden_state  # type: ignore[union-attr,operator]
    assert torch.allclose(features["caption.states"], expected, atol=1e-5)


def test_nothing_to_compute_is_told(model: Trained) -> None:
    with pytest.raises(UsageError, match=r"no example to compute image\.embedding of"):
        model.images(IMAGES[:0])
    with pytest.raises(UsageError, match="no sequence to compute a likelihood of"):
        model.log_likelihoods([])
