"""Encoders: images and texts to vectors of one space, by a model that the user has.

A model is a folder, or a name whose files lie in the local cache of the Hugging Face hub: a checkpoint of transformers
(`config.json`) or of open_clip (`open_clip_config.json`). Nothing is downloaded, no code of the folder runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tuwen.errors import UsageError
from tuwen.models.checkpoint import File, content_hash, folder_of, model_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Kind = Literal["pooled", "tokens", "grid"]
BATCH = 32
TRANSFORMERS, OPEN_CLIP = "config.json", "open_clip_config.json"
# What a configuration leaves out where it is the default of its class in transformers.
_DIM = {"altclip": 768, "siglip": 768, "siglip2": 768}
_DEFAULT_DIM, _DEFAULT_SIDE, _DEFAULT_PATCH, _DEFAULT_PATCHES = 512, 224, 16, 256


class Encoder(Protocol):
    """Two towers that share a space of `dim` dimensions.

    Every pass has the shape of `batch_size` rows, empty ones where rows are lacking, so that a row's vector is the same
    beside whatever others. A row whose numbers the model cannot hold is NaN.
    """

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def image_side(self) -> int:
        """Pixels that the shorter side of an image should have: what preprocessing makes of it."""

    def images(self, images: Sequence[Image.Image], batch_size: int = BATCH) -> NDArray[np.float32]:
        """(N, dim), of Euclidean length 1."""

    def texts(self, texts: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """(N, dim), of Euclidean length 1. What exceeds the model's limit of tokens is not read."""

    def image_features(
        self, images: Sequence[Image.Image], kind: Kind = "pooled", batch_size: int = BATCH
    ) -> list[NDArray[np.float32]]:
        """For each image its projected vector (dim,), last hidden states (T, width), or those of patches (H, W, width).

        Vectors have the length that the model gives them.
        """

    def text_features(
        self, texts: Sequence[str], kind: Kind = "pooled", batch_size: int = BATCH
    ) -> list[NDArray[np.float32]]:
        """For each text its projected vector (dim,) or last hidden states (T, width), those of padding left out."""


def encoder(model: str, device: str = "cpu") -> Encoder:
    """The encoder `model` on torch's `device`; the last one of a process is kept.

    `UsageError` where its files are missing or damaged, or torch has no such device.
    """
    return _loaded(_files(model), device)


@lru_cache(maxsize=1)  # one model a process
def _loaded(files: tuple[File, ...], device: str) -> Encoder:
    from tuwen.models.transformers_encoder import TransformersEncoder, load_transformers

    folder = folder_of(files)
    dim, side = _shape(files)
    if (folder / TRANSFORMERS).is_file():
        parts = load_transformers(folder, device)
    else:
        from tuwen.models.open_clip import load_open_clip  # type: ignore[import-not-found,unused-ignore]

        parts = load_open_clip(folder, device)
    return TransformersEncoder(*parts, device, dim, side)


def encoder_shape(model: str) -> tuple[int, int]:
    """`dim` and `image_side` of the encoder, by its configuration alone: neither torch nor transformers is needed."""
    return _shape(_files(model))


def encoder_hash(model: str) -> str:
    """SHA-256 of everything that vectors depend on: weights, configuration, preprocessing, tokenizer."""
    return content_hash(_files(model))


def _files(model: str) -> tuple[File, ...]:
    return model_files(model, (TRANSFORMERS, OPEN_CLIP))


@lru_cache(maxsize=8)
def _shape(files: tuple[File, ...]) -> tuple[int, int]:
    folder = folder_of(files)
    if (folder / TRANSFORMERS).is_file():
        return _transformers_shape(folder)
    told = _read(folder / OPEN_CLIP).get("model_cfg") or {}
    return _whole(told, "embed_dim", _DEFAULT_DIM, folder), _whole(
        told.get("vision_cfg") or {}, "image_size", _DEFAULT_SIDE, folder
    )


def _transformers_shape(folder: Path) -> tuple[int, int]:
    config = _read(folder / TRANSFORMERS)
    vision = config.get("vision_config") or {}
    kind = str(config.get("model_type"))
    default = _DIM.get(kind, _DEFAULT_DIM)
    if kind in ("siglip", "siglip2"):  # no projection: vectors are as wide as the tower
        dim = _whole(vision, "hidden_size", default, folder)
    else:
        dim = _whole(config, "projection_dim", default, folder)
    if kind == "siglip2":  # images of any shape, in so many patches
        patches = _whole(vision, "num_patches", _DEFAULT_PATCHES, folder)
        side = round(patches**0.5) * _whole(vision, "patch_size", _DEFAULT_PATCH, folder)
    else:
        side = _whole(vision, "image_size", _DEFAULT_SIDE, folder)
    return dim, max(side, _resized(folder))


def _resized(folder: Path) -> int:
    """The shorter side to which preprocessing resizes images, which may be more than the tower sees; 0: not said."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            told = _read(folder / name)
            size = (told.get("image_processor") or told).get("size")
            sides = size.values() if isinstance(size, dict) else [size]
            return max((side for side in sides if isinstance(side, int)), default=0)
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}; copy the model again") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no JSON object; copy the model again")
    return found


def _whole(told: Mapping[str, Any], name: str, default: int, folder: Path) -> int:
    value = told.get(name, default)
    if not isinstance(value, int) or not 0 < value < 1 << 20:
        raise UsageError(f"model {str(folder)!r} says {name} = {value!r}, which is no size; copy the model again")
    return value
