"""Encoders by transformers: CLIP, Chinese-CLIP, AltCLIP, SigLIP, SigLIP 2 and what else has their two calls.

Images are preprocessed with Pillow as the checkpoint says; torchvision is not needed. Texts are cut at the model's
limit and padded as it was trained: SigLIP to 64 tokens always, others to the next power of two, which their attention
mask hides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.errors import UsageError
from tuwen.models.checkpoint import OFFLINE, first_line, load_tokenizer, load_weights, prepare_torch, told
from tuwen.models.encoder import BATCH, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_MIN_WIDTH = 16
_MOST_TOKENS = 512  # where neither network nor tokenizer says a limit
_SIGLIP = ("siglip", "siglip2")
_SIGLIP_TOKENS = 64
_LONGEST = 16  # times the shorter side: what lies further from the centre is cropped away anyway


def load_transformers(folder: Path, device: str) -> tuple[Any, Any, Any]:
    """Network, tokenizer and image processor of a checkpoint. `UsageError` where they do not load."""
    prepare_torch(device)
    from transformers import AutoImageProcessor, AutoModel

    images: Any = AutoImageProcessor  # which has no types
    try:
        tokenizer = load_tokenizer(folder)
        processor = images.from_pretrained(str(folder), backend="pil", **OFFLINE)
        network = load_weights(AutoModel, folder)
        for call in ("get_image_features", "get_text_features"):
            if not hasattr(network, call):
                raise ValueError(f"{type(network).__name__} has no {call}")
        if tokenizer.pad_token_id is None:
            raise ValueError("its tokenizer has no token for padding")
    except Exception as error:  # transformers raises nearly every built-in exception on damaged files
        raise UsageError(
            f"model {str(folder)!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); it has to be a "
            "dual encoder of images and texts with its tokenizer and image processor, as `save_pretrained` writes them"
        ) from error
    return network, tokenizer, processor


@dataclass(frozen=True)
class TransformersEncoder:
    """An `Encoder` around the network, tokenizer and image processor of a checkpoint."""

    network: Any
    tokenizer: Any
    processor: Any
    device: str
    dim: int
    image_side: int

    def __post_init__(self) -> None:
        with told(self.device, "the weights"):
            self.network.to(self.device)

    def images(self, images: Sequence[Image.Image], batch_size: int = BATCH) -> NDArray[np.float32]:
        """(N, dim), normalised."""
        return self._normalised(self.image_features(images, "pooled", batch_size))

    def texts(self, texts: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """(N, dim), normalised."""
        return self._normalised(self.text_features(texts, "pooled", batch_size))

    def image_features(
        self, images: Sequence[Image.Image], kind: Kind = "pooled", batch_size: int = BATCH
    ) -> list[NDArray[np.float32]]:
        """Features of each image."""
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(images), batch_size):
            chosen = [self._bounded(image) for image in images[start : start + batch_size]]
            inputs = self.processor(images=chosen, return_tensors="pt")
            output = self._pass(self.network.get_image_features, inputs, batch_size, f"{batch_size} images")
            shapes = inputs["spatial_shapes"].tolist() if "spatial_shapes" in inputs else [None] * len(chosen)
            for row, shape in enumerate(shapes):
                found.append(_row(output, row) if kind == "pooled" else self._patches(output, row, kind, shape))
        return found

    def text_features(
        self, texts: Sequence[str], kind: Kind = "pooled", batch_size: int = BATCH
    ) -> list[NDArray[np.float32]]:
        """Features of each text."""
        if kind == "grid":
            raise ValueError("texts have no grid; kind must be pooled or tokens")
        found: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
        for width, places in self._by_width(texts):
            for start in range(0, len(places), batch_size):
                chosen = places[start : start + batch_size]
                inputs = self._tokens([texts[place] for place in chosen], padding="max_length", max_length=width)
                what = f"{batch_size} texts of {width} tokens"
                output = self._pass(self.network.get_text_features, inputs, batch_size, what)
                for row, place in enumerate(chosen):
                    if kind == "pooled":
                        found[place] = _row(output, row)
                    else:
                        states = _plain(output.last_hidden_state[row])
                        mask = inputs.get("attention_mask")
                        found[place] = states if mask is None else states[mask[row].numpy() > 0]
        return found

    @cached_property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text."""
        limits = [_positions(self.network.text_model), self.tokenizer.model_max_length]
        if self._is_siglip:
            limits.append(_SIGLIP_TOKENS)
        return int(min((each for each in limits if each and each < 1 << 20), default=_MOST_TOKENS))

    @property
    def _is_siglip(self) -> bool:
        return self.network.config.model_type in _SIGLIP

    def _by_width(self, texts: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
        """Places of texts by the width of their pass, which depends on each text alone."""
        if not texts:
            return
        by_width: dict[int, list[int]] = {}
        for place, ids in enumerate(self._tokens(texts, max_length=self.max_tokens)["input_ids"]):
            width = max(_MIN_WIDTH, 1 << (len(ids) - 1).bit_length()) if ids else _MIN_WIDTH
            by_width.setdefault(self.max_tokens if self._is_siglip else min(width, self.max_tokens), []).append(place)
        yield from sorted(by_width.items())

    def _tokens(self, texts: Sequence[str], padding: str | bool = False, max_length: int = 0) -> Any:
        # SigLIP was trained without a mask; whether one is given is said by its tokenizer.
        mask = {} if self._is_siglip else {"return_attention_mask": True}
        tensors = {"return_tensors": "pt"} if padding else {}
        return self.tokenizer(list(texts), padding=padding, truncation=True, max_length=max_length, **mask, **tensors)

    def _bounded(self, image: Image.Image) -> Image.Image:
        """The middle of an extremely long image, where preprocessing would enlarge all of it and crop that middle."""
        width, height = image.size
        most = _LONGEST * min(width, height)
        shortest = getattr(getattr(self.processor, "size", None), "shortest_edge", None)
        if max(width, height) <= most or shortest is None or not getattr(self.processor, "do_center_crop", False):
            return image
        left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
        return image.crop((left, top, min(width, left + most), min(height, top + most)))

    def _pass(self, call: Any, inputs: Any, height: int, what: str) -> Any:
        """The output for inputs that are filled up to `height` rows with copies of the first."""
        import torch

        rows = torch.arange(height)
        rows[rows >= len(next(iter(inputs.values())))] = 0
        with torch.inference_mode(), told(self.device, what), self._precision():
            return call(**{name: values[rows].to(self.device) for name, values in inputs.items()}, return_dict=True)

    def _precision(self) -> AbstractContextManager[Any]:
        """Half precision where that is fast; a CPU computes in float32, the same on each machine."""
        import torch

        kind = torch.device(self.device).type
        return nullcontext() if kind == "cpu" else torch.autocast(kind)

    def _patches(self, output: Any, row: int, kind: Kind, shape: list[int] | None) -> NDArray[np.float32]:
        """Hidden states of an image: (T, width), or (H, W, width) of its patches alone."""
        states = _plain(output.last_hidden_state[row])
        if states.ndim == 3:  # of a convolution: (width, H, W)
            grid = np.moveaxis(states, 0, -1)
            return grid if kind == "grid" else grid.reshape(-1, grid.shape[-1])
        if shape is not None:  # padded behind its patches
            states = states[: shape[0] * shape[1]]
            return states if kind == "tokens" else states.reshape(*shape, -1)
        if kind == "tokens":
            return states
        side = int(len(states) ** 0.5)  # a class token and registers stand before the patches
        return states[len(states) - side * side :].reshape(side, side, -1)

    def _normalised(self, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        vectors = np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)
        if vectors.shape[1] != self.dim:
            raise UsageError(f"the model gives {vectors.shape[1]} numbers, but its configuration says {self.dim}")
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(1, keepdims=True))
            return np.asarray(vectors / lengths, dtype=np.float32)


def _row(output: Any, row: int) -> NDArray[np.float32]:
    pooled = output if hasattr(output, "ndim") else output.pooler_output
    return _plain(pooled[row])


def _plain(values: Any) -> NDArray[np.float32]:
    return np.asarray(values.float().cpu().numpy())


def _positions(tower: Any) -> int | None:
    """Positions that a text tower has an embedding for; where one is for padding, the others follow it (RoBERTa)."""
    for name, module in tower.named_modules():
        if name.rpartition(".")[2] in ("position_embedding", "position_embeddings"):
            reserved = getattr(module, "padding_idx", None)
            return int(module.num_embeddings) - (0 if reserved is None else reserved + 1)
    return None
