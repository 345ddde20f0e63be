"""Tiny dual encoders with random weights, written as `save_pretrained` writes real ones; loaded by nothing special.

Their vectors mean nothing, but each follows from every pixel and token, so a mistake in between shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE, DIM = 16, 8
_TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_VISION = {**_TOWER, "image_size": SIDE, "patch_size": 4}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?"
_CHINESE = "一只狐狸在雪地里走过图文语料红色的猫和狗"


def clip(folder: Path, side: int = SIDE, dim: int = DIM, seed: int = 0) -> Path:
    """CLIP: a byte-level BPE, 77 positions."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    tokenizer = CLIPTokenizer(vocab=_byte_vocabulary(), merges=[("r", "e"), ("f", "o"), ("re", "d</w>")])
    text = {**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 77, **_ends(tokenizer)}
    config = CLIPConfig(text_config=text, vision_config={**_VISION, "image_size": side}, projection_dim=dim)
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return _saved(folder, CLIPModel, config, tokenizer, processor, seed)


def chinese_clip(folder: Path) -> Path:
    """Chinese-CLIP: WordPiece of single characters, a BERT whose attention mask counts."""
    from transformers import BertTokenizer, ChineseCLIPConfig, ChineseCLIPImageProcessorPil, ChineseCLIPModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *_LETTERS, *(f"##{letter}" for letter in _LETTERS), *dict.fromkeys(_CHINESE)]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    text = {**_TOWER, "vocab_size": len(words), "max_position_embeddings": 52, "pad_token_id": 0}
    config = ChineseCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=DIM)
    processor = ChineseCLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False)
    return _saved(folder, ChineseCLIPModel, config, tokenizer, processor)


def siglip(folder: Path) -> Path:
    """SigLIP with a tokenizer of one file, as the checkpoints of SigLIP 2 with a fixed size have it."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokenizer = _gemma()
    text = {**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    config = SiglipConfig(text_config=text, vision_config=_VISION)
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    return _saved(folder, SiglipModel, config, tokenizer, processor)


def siglip2(folder: Path) -> Path:
    """SigLIP 2 that keeps the shape of images: at most 16 patches."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    tokenizer = _gemma()
    text = {**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    vision = {**_TOWER, "patch_size": 4, "num_patches": 16}
    config = Siglip2Config(text_config=text, vision_config=vision)
    processor = Siglip2ImageProcessorPil(patch_size=4, max_num_patches=16)
    return _saved(folder, Siglip2Model, config, tokenizer, processor)


def altclip(folder: Path) -> Path:
    """AltCLIP: the text tower of XLM-R, whose positions follow that of padding."""
    from transformers import AltCLIPConfig, AltCLIPModel, CLIPImageProcessorPil

    tokenizer = _xlm_roberta()
    text = {**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 34, "pad_token_id": 1, "project_dim": 16}
    config = AltCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=DIM)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return _saved(folder, AltCLIPModel, config, tokenizer, processor)


def dual_encoder(folder: Path) -> Path:
    """VisionTextDualEncoder: a CLIP image tower and an XLM-R."""
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
        XLMRobertaConfig,
    )

    tokenizer = _xlm_roberta()
    text = XLMRobertaConfig(**_TOWER, vocab_size=len(tokenizer), max_position_embeddings=34, pad_token_id=1)
    config = VisionTextDualEncoderConfig.from_vision_text_configs(CLIPVisionConfig(**_VISION), text, projection_dim=DIM)
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return _saved(folder, VisionTextDualEncoderModel, config, tokenizer, processor)


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "clip": clip,
    "chinese_clip": chinese_clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "altclip": altclip,
    "dual_encoder": dual_encoder,
}


def _saved(folder: Path, model: Any, config: Any, tokenizer: Any, processor: Any, seed: int = 0) -> Path:
    import torch

    torch.manual_seed(seed)
    network = model(config)
    for weights in network.parameters():  # larger than they start, so that inputs make a difference
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.3)
    for part in (network, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


def _ends(tokenizer: Any) -> dict[str, int]:
    return {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _byte_vocabulary() -> dict[str, int]:
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "re", "fo", "red</w>"]
    return {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


def _gemma() -> Any:
    from transformers import Siglip2Tokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces = [*special, "▁", *_LETTERS, *dict.fromkeys(_CHINESE), *(f"<0x{byte:02X}>" for byte in range(256))]
    return Siglip2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        padding_side="right",
        model_max_length=64,
        model_input_names=["input_ids"],
    )


def _xlm_roberta() -> Any:
    from transformers import XLMRobertaTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [*special, "▁", *_LETTERS, *dict.fromkeys(_CHINESE), "<mask>"]
    return XLMRobertaTokenizer(vocab=[(piece, -float(number)) for number, piece in enumerate(pieces)])


def changed(folder: Path, file: str, **values: Any) -> None:
    """Set keys of a JSON file of a checkpoint; None takes one away."""
    path = folder / file
    told = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in told.items() if value is not None}))
