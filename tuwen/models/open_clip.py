"""open_clip's layout on disk, read and written without the package: a ViT and open_clip's own text transformer.

    open_clip_config.json         model_cfg (sizes of the towers), preprocess_cfg (how an image is made an input)
    open_clip_model.safetensors   weights by open_clip's names, or open_clip_pytorch_model.bin, read as data
    tokenizer.json …              as transformers writes them

The two implementations of CLIP differ in names and in how queries, keys and values lie, not in what they compute:
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/transformer.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuwen.errors import UsageError
from tuwen.models.checkpoint import OFFLINE, first_line, prepare_torch

CONFIG = "open_clip_config.json"
WEIGHTS, PICKLE = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
_ADVICE = "convert it to a checkpoint of transformers, or take another model"
_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]  # of OpenAI, the default
_RESAMPLE = {"bilinear": 2, "bicubic": 3}
# What may be said of a tower; anything else that is set changes what it computes. None: any value.
_VISION: dict[str, Any] = dict.fromkeys(("layers", "width", "head_width", "mlp_ratio", "patch_size"))
_VISION |= {"image_size": None, "patch_dropout": None, "pool_type": "tok", "final_ln_after_pool": None}
_TEXT: dict[str, Any] = dict.fromkeys(("context_length", "vocab_size", "width", "heads", "layers"))
_TEXT |= {"mlp_ratio": None, "hf_tokenizer_name": None, "tokenizer_kwargs": None, "pool_type": "argmax"}
_ARGMAX = 2  # the number of the token of the end by which transformers knows that it is the highest of a text
# open_clip's name → that of transformers, inside a block and outside
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_PLAIN = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # spelt so
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
_TURNED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_TOWERS = {
    "visual.transformer.resblocks": "vision_model.encoder.layers",
    "transformer.resblocks": "text_model.encoder.layers",
}


def save_open_clip(network: Any, tokenizer: Any, folder: Path, processor: Any) -> None:
    """Write a CLIPModel of transformers as open_clip would; `folder` may hold other files.

    `UsageError` where open_clip would not find the end of a text: the token of the end needs the highest number.
    """
    from safetensors.torch import save_file

    config = network.config
    if tokenizer.eos_token_id != config.text_config.vocab_size - 1:
        raise UsageError("open_clip finds the end of a text by the highest number; this tokenizer has it elsewhere")
    described = {
        "model_cfg": _model_cfg(config, folder.name),  # a name says that the tokenizer lies beside it
        "preprocess_cfg": {
            "size": [config.vision_config.image_size] * 2,
            "mean": list(processor.image_mean),
            "std": list(processor.image_std),
            "interpolation": next(name for name, number in _RESAMPLE.items() if number == processor.resample),
            "resize_mode": "shortest" if processor.do_center_crop else "squash",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    save_file(_to_open_clip(network.state_dict()), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _model_cfg(config: Any, tokenizer_name: str) -> dict[str, Any]:
    text, vision = config.text_config, config.vision_config
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": text.hidden_act == "quick_gelu",
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.hidden_size,
            "layers": vision.num_hidden_layers,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "mlp_ratio": vision.intermediate_size / vision.hidden_size,
        },
        "text_cfg": {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "width": text.hidden_size,
            "heads": text.num_attention_heads,
            "layers": text.num_hidden_layers,
            "mlp_ratio": text.intermediate_size / text.hidden_size,
            "hf_tokenizer_name": tokenizer_name,
        },
    }


def load_open_clip(folder: Path, device: str) -> tuple[Any, Any, Any]:
    """Network (a CLIPModel), tokenizer and image processor of a checkpoint of open_clip.

    `UsageError` where files are missing or damaged, and for what transformers' CLIP does not compute: towers of timm or
    of other text models, other poolings, scaled layers.
    """
    prepare_torch(device)
    from transformers import AutoTokenizer, CLIPModel

    described = _described(folder)
    config = _config(described["model_cfg"], folder)
    processor = _processor(described, folder)
    if not (folder / "tokenizer.json").is_file() and not (folder / "tokenizer_config.json").is_file():
        raise UsageError(
            f"model {str(folder)!r} has no tokenizer.json; open_clip keeps that of OpenAI's models in itself: copy "
            "tokenizer.json and tokenizer_config.json from a CLIP of transformers with the same vocabulary"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **OFFLINE)
        tokenizer.model_max_length = config.text_config.max_position_embeddings
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        network: Any = CLIPModel(config)
        network.load_state_dict(_from_open_clip(_weights(folder), network.state_dict().keys()))
    except UsageError:
        raise
    except Exception as error:  # torch and transformers raise nearly every built-in exception on damaged files
        raise UsageError(
            f"model {str(folder)!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); copy it again, "
            f"or {_ADVICE}"
        ) from error
    return network.float().eval(), tokenizer, processor


def _described(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not all(isinstance(found["model_cfg"][name], dict) for name in ("vision_cfg", "text_cfg")):
            raise ValueError("vision_cfg and text_cfg are no objects")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder / CONFIG} cannot be read ({type(error).__name__}: {error}); copy it again"
        ) from error
    return dict(found)


def _config(told: Mapping[str, Any], folder: Path) -> Any:
    from transformers import CLIPConfig, CLIPTextConfig, CLIPVisionConfig

    vision, text = told["vision_cfg"], told["text_cfg"]
    _refuse_others(vision, _VISION, f"model {str(folder)!r} has vision_cfg")
    _refuse_others(text, _TEXT, f"model {str(folder)!r} has text_cfg")
    try:
        if not isinstance(vision["layers"], int):
            raise ValueError("vision_cfg.layers is a list: a ResNet")
        shared: dict[str, Any] = {
            "hidden_act": "quick_gelu" if told.get("quick_gelu") else "gelu",
            "projection_dim": int(told["embed_dim"]),
        }
        image: Any = CLIPVisionConfig(
            **_tower(vision, int(vision["width"]) // int(vision.get("head_width", 64)), shared),
            image_size=_side(vision["image_size"]),
            patch_size=_side(vision["patch_size"]),
        )
        words: Any = CLIPTextConfig(
            **_tower(text, int(text["heads"]), shared),
            vocab_size=int(text["vocab_size"]),
            max_position_embeddings=int(text["context_length"]),
            eos_token_id=_ARGMAX,
            bos_token_id=None,
            pad_token_id=None,
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{folder / CONFIG}: {reason}, so it cannot be converted; {_ADVICE}") from error
    return CLIPConfig(
        text_config=words.to_dict(), vision_config=image.to_dict(), projection_dim=shared["projection_dim"]
    )


def _refuse_others(tower: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    """`UsageError` for what is set and not among the `known`."""
    for name, value in tower.items():
        expected = known.get(name, ... if value else value)
        if expected is not None and value != expected:
            raise UsageError(f"{what}.{name} = {value!r}, which transformers' CLIP does not compute; {_ADVICE}")


def _tower(told: Mapping[str, Any], heads: int, shared: Mapping[str, Any]) -> dict[str, Any]:
    width = int(told["width"])
    return {
        **shared,
        "hidden_size": width,
        "intermediate_size": int(width * told.get("mlp_ratio", 4)),
        "num_hidden_layers": int(told["layers"]),
        "num_attention_heads": heads,
    }


def _side(value: Any) -> int:
    sides = set(value) if isinstance(value, list) else {value}
    if len(sides) != 1:
        raise ValueError(f"{value} is no square")
    return int(sides.pop())


def _processor(described: Mapping[str, Any], folder: Path) -> Any:
    from transformers import CLIPImageProcessorPil

    told = described.get("preprocess_cfg") or {}
    side = _side(described["model_cfg"]["vision_cfg"]["image_size"])
    mode, interpolation = told.get("resize_mode") or "shortest", told.get("interpolation") or "bicubic"
    if mode not in ("shortest", "squash") or interpolation not in _RESAMPLE:
        raise UsageError(f"{folder / CONFIG}: images are resized by {mode}, {interpolation}, which is not known here")
    squash = mode == "squash"
    return CLIPImageProcessorPil(
        size={"height": side, "width": side} if squash else {"shortest_edge": side},
        resample=_RESAMPLE[interpolation],
        do_center_crop=not squash,
        crop_size={"height": side, "width": side},
        image_mean=list(told.get("mean") or _MEAN),
        image_std=list(told.get("std") or _STD),
    )


def _weights(folder: Path) -> dict[str, Any]:
    """By open_clip's names; a class with a text tower of its own puts `text.` before that tower's."""
    import torch
    from safetensors.torch import load_file

    if (folder / WEIGHTS).is_file():
        found = load_file(folder / WEIGHTS)
    elif (folder / PICKLE).is_file():
        found = torch.load(folder / PICKLE, map_location="cpu", weights_only=True)
        found = found.get("state_dict", found)
    else:
        raise UsageError(f"model {str(folder)!r} has no weights ({WEIGHTS} or {PICKLE}); add them")
    names = ((name.removeprefix("module."), value) for name, value in found.items())
    return {name.removeprefix("text."): value for name, value in names if not name.endswith("attn_mask")}


def _from_open_clip(weights: Mapping[str, Any], wanted: Any) -> dict[str, Any]:
    """Weights by transformers' names. `UsageError` names what has no counterpart."""
    import torch

    found: dict[str, Any] = {}
    unknown = []
    for name, value in weights.items():
        tower = next((tower for tower in _TOWERS if name.startswith(f"{tower}.")), None)
        if name in _PLAIN:
            found[_PLAIN[name]] = value
        elif name in _TURNED:
            found[_TURNED[name]] = value.T.contiguous()
        elif tower is not None:
            number, _, rest = name.removeprefix(f"{tower}.").partition(".")
            block = f"{_TOWERS[tower]}.{number}"
            module, _, kind = rest.rpartition(".")
            if rest.startswith("attn.in_proj_"):
                for part, chunk in zip("qkv", torch.chunk(value, 3), strict=True):
                    found[f"{block}.self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = chunk.contiguous()
            elif module in _BLOCK:
                found[f"{block}.{_BLOCK[module]}.{kind}"] = value
            else:
                unknown.append(name)
        else:
            unknown.append(name)
    missing = sorted(set(wanted) - set(found) - {name for name in wanted if name.endswith("position_ids")})
    if unknown or missing:
        raise UsageError(
            f"the weights {', '.join(unknown[:3]) or missing[0]} have no counterpart in transformers' CLIP; {_ADVICE}"
        )
    return found


def _to_open_clip(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by open_clip's names."""
    import torch

    found = {name: weights[own].clone() for name, own in _PLAIN.items()}
    found |= {name: weights[own].T.contiguous() for name, own in _TURNED.items()}
    for tower, own in _TOWERS.items():
        numbers = {name.removeprefix(f"{own}.").partition(".")[0] for name in weights if name.startswith(f"{own}.")}
        for number in sorted(numbers, key=int):
            for kind in ("weight", "bias"):
                parts = [weights[f"{own}.{number}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                found[f"{tower}.{number}.attn.in_proj_{kind}"] = torch.cat(parts)
                for name, module in _BLOCK.items():
                    found[f"{tower}.{number}.{name}.{kind}"] = weights[f"{own}.{number}.{module}.{kind}"].clone()
    return found
