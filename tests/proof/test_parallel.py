"""Two processes have the gradients of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tuwen.errors import UsageError
from tuwen.models.contrastive import deterministic
from tuwen.models.features import Features
from tuwen.models.network import Architecture, Network
from tuwen.models.towers import ImageTower, LanguageTower, TextTower
from tuwen.objectives.alip import Alip
from tuwen.objectives.contrast import Contrast
from tuwen.objectives.grouping import Grouping
from tuwen.objectives.next_token import NextToken
from tuwen.objectives.pca_match import PcaMatch
from tuwen.objectives.sigmoid import Sigmoid
from tuwen.proof.parallel import Parallel, joined
from tuwen.views.captioned import Captioned

ROWS = 8


class HandsOn:
    """An objective that makes an embedding of gathered ones and uses a weight of its own, for a contrast after it."""

    def module(self, network: Network) -> torch.nn.Module:
        return torch.nn.Linear(16, 16, bias=False)

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        turned = features.own[self](features["image.embedding"])
        features["turned"] = torch.nn.functional.normalize(turned - turned.mean(0), dim=-1)
        return {}


def objectives() -> list[Any]:
    return [
        *(Contrast(), HandsOn(), Contrast(image="turned", group=None), NextToken()),
        *(Sigmoid(), Alip(), Contrast(text="synthetic", weight="gate.synthetic")),
        *(PcaMatch(components=3), Contrast(image="image.principal", text="synthetic", group=None)),
        Grouping(texts=("text", "synthetic")),
    ]


def batch() -> dict[str, Any]:
    """Texts of unequal length: the halves differ in width and in the number of learnt tokens, and two are equal."""
    rng = np.random.default_rng(0)
    texts = ["a fox", "a", "red", "a fox", "a red fox in the snow", "snow", "a fox", "the red fox"]
    found = {"image": rng.integers(0, 256, (ROWS, 8, 8, 3)).astype(np.uint8), "text": texts}
    found["synthetic"] = [f"{text} and {number}" for number, text in enumerate(texts)]
    return Captioned()(found, rng)


def gradients(parallel: Parallel) -> tuple[float, dict[str, torch.Tensor]]:
    with deterministic(0):
        architecture = Architecture(
            ImageTower(width=16), TextTower(width=16), LanguageTower(width=16, layers=1), side=8, dim=16, context=12
        )
        network = Network(architecture, architecture.tokenizer(batch()["text"]))
        parts = objectives()
        own = {each: each.module(network) for each in parts if hasattr(each, "module")}
        rows = parallel.part(np.arange(ROWS)).tolist()
        given = {name: [values[row] for row in rows] for name, values in batch().items()}
        given["image"] = np.stack(given["image"])
        features = parallel.features(given, network, 0, 1, own)
        losses: dict[str, torch.Tensor] = {}
        for each in parts:
            losses.update(each(features))
        total = torch.stack(list(losses.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        state = torch.nn.ModuleList([network, *own.values()])
        parallel.average(list(state.parameters()))
        found = {name: each.grad for name, each in state.named_parameters() if each.grad is not None}
        return float(total.detach()), found


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    told = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": here}  # as torchrun
    command = [sys.executable, __file__, str(tmp_path)]
    both = [subprocess.Popen(command, env={**os.environ, **told, "RANK": str(rank)}) for rank in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    loss, expected = gradients(Parallel())
    assert {"0.image_projection.weight", "0.logit_scale", "1.weight", "0.connector.1.weight"} <= expected.keys()
    for rank in range(2):
        found_loss, found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found_loss == pytest.approx(loss, abs=1e-5)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_a_batch_has_to_be_shared_out_evenly() -> None:
    assert Parallel(1, 2).part(np.arange(6)).tolist() == [3, 4, 5]
    with pytest.raises(UsageError, match="a batch of 5"):
        Parallel(0, 2).part(np.arange(5))


if __name__ == "__main__":
    with joined("cpu") as both:
        torch.save(gradients(both), Path(sys.argv[1]) / f"{both.rank}.pt")
