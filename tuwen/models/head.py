"""Heads: small functions from a vector to a score, as files of weights that others publish or `tuwen train head` makes.

A head is a chain of linear layers, each `x @ weight.T + bias`, with an activation between them or none, and an output:
the number itself, or its sigmoid. Read are:

- `.npz` that `save` wrote: `weight0`, `bias0`, `weight1`, …, `activation`, `output`
- `.pth`, `.pt`, `.bin` (torch, read as data) and `.safetensors`: the state of a module, whose tensors named
  `…weight` (out, in) and `…bias` (out) are taken in their order. LAION's aesthetic heads are such files: one layer, or
  five without an activation. <https://github.com/LAION-AI/aesthetic-predictor>
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVATIONS = ("none", "relu")
OUTPUTS = ("number", "sigmoid")
_TORCH = (".pth", ".pt", ".bin")
_LARGEST_BYTES = 256 << 20  # ten times the largest that is published; a checkpoint given by mistake is larger


@dataclass(frozen=True)
class Head:
    """Layers (weight (out, in), bias (out,)), what is between them and behind the last one, which has one output."""

    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    activation: str = "none"
    output: str = "number"

    @property
    def width(self) -> int:
        """Of the vectors it takes."""
        return int(self.layers[0][0].shape[1])

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score of each row (N,), in float32. Computed in 64 bits, so that it does not depend on the rows beside."""
        values = vectors.astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            if number and self.activation == "relu":
                values = np.maximum(values, 0)
            values = values @ weight.T.astype(np.float64) + bias
        scores = values[:, 0]
        if self.output == "sigmoid":
            scores = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
        return scores.astype(np.float32)


def save(head: Head, path: Path) -> None:
    """Write an `.npz` that `head_of` reads; the same head gives the same bytes."""
    arrays: dict[str, Any] = {"activation": np.array(head.activation), "output": np.array(head.output)}
    for number, (weight, bias) in enumerate(head.layers):
        arrays |= {f"weight{number}": weight, f"bias{number}": bias}
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def file_hash(path: str) -> str:
    """SHA-256 of the file; `UsageError` where it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read head {path}: {error.strerror or error}; give the file of its weights") from error


def head_of(path: str, activation: str, output: str) -> Head:
    """The head in a file; `activation` and `output` hold for files that do not say it themselves.

    `UsageError` where the file is missing, damaged, or no chain of layers with one output.
    """
    return _head(path, file_hash(path), activation, output)


@lru_cache(maxsize=8)
def _head(path: str, digest: str, activation: str, output: str) -> Head:
    file = Path(path)
    if file.stat().st_size > _LARGEST_BYTES:
        raise UsageError(f"head {path} has {file.stat().st_size >> 20} MB; that is no head, but a whole model")
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files}
            activation, output = str(found.pop("activation", activation)), str(found.pop("output", output))
        else:
            found = _tensors(file)
    except UsageError:
        raise
    except Exception as error:  # zip, pickle and safetensors each have errors of their own
        raise UsageError(
            f"head {path} cannot be read ({type(error).__name__}); it has to be an .npz of `tuwen train head`, or a "
            "module's weights as .safetensors or .pth"
        ) from error
    if activation not in ACTIVATIONS or output not in OUTPUTS:
        raise UsageError(
            f"head {path} has activation {activation!r} and output {output!r}; known: {ACTIVATIONS}, {OUTPUTS}"
        )
    return Head(_layers(path, found), activation, output)


def _tensors(file: Path) -> dict[str, NDArray[Any]]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return dict(load_file(file))
        if file.suffix not in _TORCH:
            raise UsageError(f"head {file} is no .npz, .safetensors, {', '.join(_TORCH)}; save its weights as one")
        import torch
    except ImportError:
        raise missing_extra("transformers", "torch or safetensors") from None
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {name: value.float().numpy() for name, value in state.items()}


def _layers(
    path: str, tensors: Mapping[str, NDArray[Any]]
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
    """Weights with their biases, in the order of their names' numbers."""
    weights = [name for name in tensors if _part(name) == "weight"]
    layers = []
    for name in sorted(weights, key=_numbers):
        weight = np.atleast_2d(np.asarray(tensors[name], dtype=np.float32))
        other = tensors.get(name.replace("weight", "bias"))
        bias = np.zeros(len(weight), np.float32) if other is None else np.asarray(other, np.float32).reshape(-1)
        if weight.ndim != 2 or bias.shape != (len(weight),):
            raise UsageError(f"head {path}: {name} has shape {weight.shape} and its bias {bias.shape}; no linear layer")
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise UsageError(f"head {path}: {name} holds numbers that are not finite")
        layers.append((weight, bias))
    fits = all(left[0].shape[0] == right[0].shape[1] for left, right in pairwise(layers))
    if not layers or not fits or layers[-1][0].shape[0] != 1:
        shapes = ", ".join(str(weight.shape) for weight, _ in layers) or "none"
        raise UsageError(f"head {path}: layers of shapes {shapes} are no chain with one output")
    return tuple(layers)


def _part(name: str) -> str:
    return name.rpartition(".")[2].rstrip("0123456789")


def _numbers(name: str) -> tuple[list[int], str]:
    digits = "".join(character if character.isdigit() else " " for character in name)
    return [int(number) for number in digits.split()], name
