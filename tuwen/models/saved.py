"""Trained networks as folders: a CLIP of transformers where the towers are one, else a layout of tuwen's own.

    FOLDER/config.json, model.safetensors, tokenizer.json, preprocessor_config.json …
    FOLDER/open_clip/      the same weights as open_clip lays them out

A CLIP loads with `CLIPModel.from_pretrained`, `AutoTokenizer` and `AutoImageProcessor`. tuwen's own has `model_type:
tuwen` and the architecture in config.json, and weights by the names that `Network` gives them.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuwen.errors import UsageError
from tuwen.models.checkpoint import OFFLINE, first_line, load_tokenizer, load_weights, quiet
from tuwen.models.network import Architecture, Network, Preprocessing
from tuwen.models.plain_towers import BagTower, GradientTower
from tuwen.models.scorer import image_processor
from tuwen.models.towers import ConvTower, ImageTower, TextTower

FORMAT, OWN = 1, "tuwen"
CONFIG, WEIGHTS, OPEN_CLIP, OPEN_CLIP_CONFIG = "config.json", "model.safetensors", "open_clip", "open_clip_config.json"


def save_network(network: Network, folder: Path) -> list[str]:
    """Write everything that `load_network` needs; returns the layouts: `transformers`, `open_clip`, or `tuwen`."""
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing = network.preprocessing
    processor = image_processor(
        network.architecture.side, crop=preprocessing.crop, mean=preprocessing.mean, std=preprocessing.std
    )
    network.tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    if not _is_clip(network):
        _save_own(network, folder)
        return [OWN]
    from tuwen.models.open_clip import save_open_clip  # type: ignore[import-not-found,unused-ignore]

    clip = _to_clip(network)
    with quiet():
        clip.save_pretrained(folder)
    try:
        save_open_clip(clip, network.tokenizer, folder / OPEN_CLIP, processor)
    except UsageError:  # a tokenizer that open_clip would not find the end with
        return ["transformers"]
    return ["transformers", OPEN_CLIP]


def load_network(folder: Path) -> Network:
    """The network of a folder: tuwen's own, transformers' CLIP, or open_clip's. `UsageError` where it is none."""
    try:
        if not (folder / CONFIG).is_file() and (folder / OPEN_CLIP_CONFIG).is_file():
            from tuwen.models.open_clip import load_open_clip  # type: ignore[import-not-found,unused-ignore]

            return _from_clip(*load_open_clip(folder, "cpu"))
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if told.get("model_type") == OWN:
            return _load_own(folder, told)
        if told.get("model_type") != "clip":
            raise UsageError(
                f"{folder} holds a model of type {told.get('model_type')!r}; only CLIP and what tuwen saved can be "
                "trained further"
            )
        from transformers import AutoImageProcessor, CLIPModel

        images: Any = AutoImageProcessor
        processor = images.from_pretrained(str(folder), backend="pil", **OFFLINE)
        return _from_clip(load_weights(CLIPModel, folder), load_tokenizer(folder), processor)
    except UsageError:
        raise
    except Exception as error:  # torch and transformers raise nearly every built-in exception on damaged files
        raise UsageError(
            f"{str(folder)!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); it has to be a folder "
            "that `tuwen train` or CLIP's `save_pretrained` wrote, with tokenizer and image processor"
        ) from error


def _is_clip(network: Network) -> bool:
    """Whether it is two towers and nothing else, as transformers' CLIP has them."""
    parts = {name.partition(".")[0] for name in network.state_dict()}
    towers = {"image", "text", "image_projection", "text_projection", "logit_scale"}
    plain = isinstance(network.image, ConvTower | GradientTower) or isinstance(network.text, BagTower)
    return parts == towers and not plain


_NAMES = {
    "image.": "vision_model.",
    "text.": "text_model.",
    "image_projection.": "visual_projection.",
    "text_projection.": "text_projection.",
    "logit_scale": "logit_scale",
}


def _to_clip(network: Network) -> Any:
    from transformers import CLIPConfig, CLIPModel

    image, text = network.image, network.text
    assert image is not None and text is not None
    config = CLIPConfig(
        text_config=text.config.to_dict(),  # type: ignore[operator,union-attr]
        vision_config=image.config.to_dict(),  # type: ignore[operator,union-attr]
        projection_dim=network.architecture.dim,
    )
    clip: Any = CLIPModel(config)
    weights = {}
    for name, value in network.state_dict().items():
        own = next(prefix for prefix in _NAMES if name.startswith(prefix))
        weights[_NAMES[own] + name.removeprefix(own)] = value.detach().cpu()
    clip.load_state_dict(weights)
    return clip.eval()


def _from_clip(clip: Any, tokenizer: Any, processor: Any) -> Network:
    text, vision = clip.config.text_config, clip.config.vision_config
    tokenizer.model_max_length = text.max_position_embeddings
    architecture = Architecture(
        ImageTower(
            "vit",
            vision.hidden_size,
            vision.num_hidden_layers,
            vision.patch_size,
            heads=vision.num_attention_heads,
        ),
        TextTower(text.hidden_size, text.num_hidden_layers, text.num_attention_heads),
        side=vision.image_size,
        dim=clip.config.projection_dim,
        context=text.max_position_embeddings,
        vocabulary=text.vocab_size,
    )
    seen = Preprocessing(bool(processor.do_center_crop), tuple(processor.image_mean), tuple(processor.image_std))
    network = Network(architecture, tokenizer, image=clip.vision_model, text=clip.text_model, preprocessing=seen)
    network.image_projection, network.text_projection = clip.visual_projection, clip.text_projection
    network.logit_scale = clip.logit_scale
    return network


def _save_own(network: Network, folder: Path) -> None:
    from safetensors.torch import save_file

    told = {
        "model_type": OWN,
        "format": FORMAT,
        "architecture": dataclasses.asdict(network.architecture),
        "preprocessing": dataclasses.asdict(network.preprocessing),
    }
    shared: set[int] = set()
    weights = {}
    for name, value in network.state_dict().items():  # tied weights are written once
        if value.data_ptr() not in shared or not value.numel():
            weights[name] = value.detach().cpu().contiguous()
            shared.add(value.data_ptr())
    save_file(weights, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _load_own(folder: Path, told: dict[str, Any]) -> Network:
    from safetensors.torch import load_file

    if told.get("format") != FORMAT:
        raise UsageError(f"{folder / CONFIG} has format {told.get('format')!r}, this tuwen reads {FORMAT}")
    try:
        architecture = TypeAdapter(Architecture).validate_python(told["architecture"])
        preprocessing = TypeAdapter(Preprocessing).validate_python(told["preprocessing"])
    except (KeyError, ValidationError) as error:
        raise UsageError(f"{folder / CONFIG} is damaged: {error}; copy it again") from error
    tokenizer = load_tokenizer(folder)
    tokenizer.model_max_length = architecture.context
    network = Network(architecture, tokenizer, preprocessing=preprocessing)
    missing, unknown = network.load_state_dict(load_file(folder / WEIGHTS), strict=False)
    tied = {name for name in missing if name.startswith("language.lm_head")}
    if unknown or set(missing) - tied:
        raise UsageError(f"{folder / WEIGHTS} does not fit its config.json: {[*unknown, *missing][0]}; copy it again")
    return network
