"""Heads: by hand, in every format, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tuwen.errors import UsageError
from tuwen.models.head import Head, file_hash, head_of, save

WEIGHT, BIAS = np.array([[1.0, -2.0, 0.5]], np.float32), np.array([0.25], np.float32)
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5]], np.float32)


def test_one_layer_by_hand() -> None:
    assert Head(((WEIGHT, BIAS),))(VECTORS).tolist() == [1.25, -1.75, 0.0]
    scores = Head(((WEIGHT, BIAS),), output="sigmoid")(VECTORS)
    assert np.allclose(scores, 1 / (1 + np.exp([-1.25, 1.75, 0.0])))


def test_two_layers_with_and_without_activation() -> None:
    layers = (
        (np.array([[1, 0, 0], [-1, 0, 0]], np.float32), np.zeros(2, np.float32)),
        (np.ones((1, 2), np.float32), BIAS),
    )
    assert Head(layers)(VECTORS).tolist() == [0.25, 0.25, 0.25]
    assert Head(layers, "relu")(VECTORS).tolist() == [1.25, 0.25, 0.75]


def test_saved_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save(Head(((WEIGHT, BIAS),), "relu", "sigmoid"), path)
    found = head_of(str(path), "none", "number")
    assert (found.activation, found.output, found.width) == ("relu", "sigmoid", 3)
    assert np.array_equal(found(VECTORS), Head(((WEIGHT, BIAS),), "relu", "sigmoid")(VECTORS))
    save(Head(((WEIGHT, BIAS),), "relu", "sigmoid"), tmp_path / "b.npz")
    assert file_hash(str(path)) == file_hash(str(tmp_path / "b.npz"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_formats(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 12), torch.nn.Dropout(0.2), torch.nn.Linear(12, 4), torch.nn.Linear(4, 1)
    )
    path = tmp_path / f"head{suffix}"
    state = {f"layers.{name}": value for name, value in module.state_dict().items()}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({name: value.numpy() for name, value in state.items()}, path)
    expected = module.eval()(torch.tensor(VECTORS))[:, 0].detach().numpy()
    assert np.allclose(head_of(str(path), "none", "number")(VECTORS), expected, atol=1e-6)


def test_files_that_are_no_heads(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read head"):
        head_of(str(tmp_path / "none.npz"), "none", "number")
    for name, data in (("a.npz", b"PK\x03\x04 no"), ("b.pth", b"junk"), ("c.safetensors", b"junk"), ("d.h5", b"x")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match="head"):
            head_of(str(tmp_path / name), "none", "number")
    for number, arrays in enumerate(
        (
            {"weight0": np.ones((2, 3))},  # two outputs
            {"weight0": np.ones((4, 3)), "weight1": np.ones((1, 5))},  # no chain
            {"weight0": np.ones((1, 3)), "bias0": np.ones(2)},
            {"weight0": np.full((1, 3), np.nan)},
            {"other": np.ones(3)},
        )
    ):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **arrays)
        with pytest.raises(UsageError, match="head"):
            head_of(str(path), "none", "number")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('ran')",))


def test_pickles_are_read_as_data(tmp_path: Path) -> None:
    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UsageError, match="cannot be read"):
        head_of(str(tmp_path / "evil.pth"), "none", "number")
