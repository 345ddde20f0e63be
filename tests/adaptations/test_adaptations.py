"""What adaptations make of trained models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuwen.adaptations.prompt_ensemble import PromptEnsemble
from tuwen.adaptations.stretch_positions import StretchPositions, stretched
from tuwen.adaptations.word_mean import WordMean
from tuwen.errors import UsageError
from tuwen.models.network import Architecture, Network
from tuwen.models.towers import ImageTower, TextTower
from tuwen.proof.trained import Trained

WORDS = ["a red circle on a white background", "a blue square", "one two three four five six seven"]


@pytest.fixture(scope="module")
def model() -> Trained:
    torch.manual_seed(1)
    architecture = Architecture(ImageTower(width=32), TextTower(width=32), dim=8, context=6, vocabulary=300)
    return Trained(Network(architecture, architecture.tokenizer(WORDS)))


def test_an_ensemble_is_the_normalised_mean_over_prompts(model: Trained) -> None:
    found = PromptEnsemble(("~ {}", "a {}"))(model)
    mean = model.texts(["~ red circle"])[0] + model.texts(["a red circle"])[0]
    assert found.texts(["red circle"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert PromptEnsemble(("~ {}",))(model).texts(["b"]) == pytest.approx(model.texts(["~ b"]), abs=1e-6)
    assert found.network is model.network


def test_a_text_as_the_mean_of_its_words(model: Trained) -> None:
    mean = model.texts(["a"])[0] + model.texts(["circle"])[0]
    found = WordMean()(model)
    assert found.texts(["A circle a"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert found.texts(["red"]) == pytest.approx(model.texts(["red"]), abs=1e-5)


def test_stretched_positions_by_hand() -> None:
    """Kept 1; then from 2 to 6 and on by the last step, all in quarters."""
    found = stretched(torch.tensor([[9.0], [2.0], [4.0], [6.0]]), 1, 4)[:, 0].tolist()
    assert found == [9.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5]


def test_clips_77_positions_become_248() -> None:
    """The authors' loop, with weights of three quarters, a half and a quarter, and the last step extended."""
    old = torch.randn(77, 3, generator=torch.Generator().manual_seed(1))
    wanted = [*old[:20]]
    for place in range(20, 77):
        step = old[place + 1] - old[place] if place < 76 else old[76] - old[75]
        wanted += [old[place] + part * step / 4 for part in range(4)]
    assert torch.allclose(stretched(old, 20, 4), torch.stack(wanted), atol=1e-5)
    assert len(wanted) == 248


def test_short_texts_mean_the_same_and_long_ones_more(model: Trained) -> None:
    found = StretchPositions(kept=3, times=4)(model)
    assert found.network.architecture.context == 15 == found.network.tokenizer.model_max_length
    assert model.network.tokenizer.model_max_length == 6
    assert found.texts(["a"]) == pytest.approx(model.texts(["a"]), abs=1e-5)  # start, a, end
    one, two = "a red circle on", "a red circle at"
    assert (model.texts([one]) == model.texts([two])).all()
    assert (found.texts([one]) != found.texts([two])).any()


def test_kept_positions_are_frozen(model: Trained) -> None:
    network = StretchPositions(kept=3)(model).network
    names = {name: tuple(each.shape) for name, each in network.named_parameters() if "position" in name}
    assert list(names.values()) == [(12, 32)]
    free = StretchPositions(kept=3, frozen=False)(model).network
    assert [tuple(each.shape) for name, each in free.named_parameters() if "position" in name] == [(15, 32)]


def test_what_cannot_be_stretched(model: Trained) -> None:
    with pytest.raises(UsageError, match="kept = 20"):
        StretchPositions()(model)
    architecture = Architecture(ImageTower(width=32), TextTower(32, kind="bag"), dim=8, context=24, vocabulary=300)
    with pytest.raises(UsageError, match="no text tower with positions"):
        StretchPositions()(Trained(Network(architecture, architecture.tokenizer(WORDS))))
