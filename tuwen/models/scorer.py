"""The bootstrapped scorer: a small dual encoder of the corpus' own, one model a fold, and the folder that holds them.

    FOLDER/scorer.json     format, how folds are told, seed, counts, learning curves, verdict
    FOLDER/images.arrow    the images that were trained on, with their fold
    FOLDER/fold-0/ …       a complete checkpoint each, which transformers loads: the model that saw no image of fold 0

An image is scored by the model of its fold, so no pair is scored by a model that saw its image. Scoring with a network
that was trained on better data: data filtering networks, Fang et al. 2023, https://arxiv.org/abs/2309.17425.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError, missing_extra

FORMAT = 1
DIM = 64
"""Dimensions of the common space."""
SIDE = 64
"""Pixels of the square that an image is reduced to, whatever its shape."""
DESCRIPTION, SEEN = "scorer.json", "images.arrow"
START, END = "<|startoftext|>", "<|endoftext|>"
SEEN_SCHEMA = pa.schema([("image_id", pa.string()), ("fold", pa.int8())])
MOST_FOLDS = 100
_PATCH = 8


@dataclass(frozen=True)
class Shape:
    """Size of the network: of the image tower (a ViT on patches of 8 pixels) and of the text tower."""

    width: int = 96
    layers: int = 3
    text_width: int = 96
    text_layers: int = 2
    vocabulary: int = 4_096  # tokens at most, of a byte-level BPE
    context: int = 48  # tokens of a text at most, with start and end


def fold_of(key: str, folds: int, seed: int) -> int:
    """Fold of an image by its key: its id, or that of its cluster of near-duplicates."""
    return int(digest("scorer", seed, key), 16) % folds


def train_tokenizer(texts: Sequence[str], shape: Shape) -> Any:
    """A byte-level BPE of the texts, NFKC and in lower case, as a tokenizer of transformers.

    Start and end have the two highest numbers: where a text ends is found by them, as in CLIP.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        raise missing_extra("transformers", "transformers") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary - 2,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    tokenizer.add_special_tokens([START, END])
    numbers = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=numbers)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=shape.context,
    )


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Token numbers (texts, context), cut and padded."""
    width = tokenizer.model_max_length
    found = tokenizer(list(texts), truncation=True, padding="max_length", max_length=width)["input_ids"]
    return np.array(found, dtype=np.int64).reshape(len(texts), width)


def new_network(shape: Shape, tokenizer: Any) -> Any:
    """A CLIPModel with random weights; seed torch before."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    end = tokenizer.eos_token_id
    text = CLIPTextConfig(
        **_tower(shape.text_width, shape.text_layers),
        vocab_size=len(tokenizer),
        max_position_embeddings=shape.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=end,
    )
    vision = CLIPVisionConfig(**_tower(shape.width, shape.layers), image_size=SIDE, patch_size=_PATCH)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=DIM)
    return CLIPModel(config)


def _tower(width: int, layers: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // 32),
        "projection_dim": DIM,
        "hidden_act": "gelu",
    }


def image_processor() -> Any:
    """Reduces an image to the square, bicubic, and its values to -1 to 1; needs Pillow alone."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        do_resize=True,
        size={"height": SIDE, "width": SIDE},
        resample=3,
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )


def save_checkpoint(folder: Path, network: Any, tokenizer: Any) -> None:
    """Everything that `AutoModel`, `AutoTokenizer` and `AutoImageProcessor` need to load the model from `folder`."""
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)
