"""open_clip's layout: there and back without a change, and no for what cannot be converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scorers
from PIL import Image

torch = pytest.importorskip("torch")

from tuwen.errors import UsageError  # noqa: E402
from tuwen.models.contrastive import deterministic  # noqa: E402
from tuwen.models.encoder import encoder, encoder_shape  # noqa: E402
from tuwen.models.open_clip import CONFIG, PICKLE, WEIGHTS, load_open_clip, save_open_clip  # noqa: E402
from tuwen.models.scorer import (  # noqa: E402
    image_processor,
    new_network,
    save_checkpoint,
    tokens_of,
    train_tokenizer,
)

TEXTS = ["a red fox", "一只红色的狐狸", "", "x" * 300]


def model(activation: str = "gelu") -> tuple[Any, Any]:
    from transformers import CLIPModel

    tokenizer = train_tokenizer(TEXTS, scorers.TINY)
    with deterministic(0):
        config = new_network(scorers.TINY, tokenizer).config
        config.text_config.hidden_act = config.vision_config.hidden_act = activation
        network = CLIPModel(config).eval()
        with torch.no_grad():
            for weight in network.parameters():  # biases and scales begin as zeros and ones
                weight.add_(0.1 * torch.randn_like(weight))
    return network, tokenizer


def written(folder: Path, activation: str = "gelu") -> tuple[Any, Any]:
    network, tokenizer = model(activation)
    save_open_clip(network, tokenizer, folder, image_processor())
    return network, tokenizer


def changed(folder: Path, **changes: Any) -> None:
    """Set `model_cfg.vision_cfg.…` and the like, by names with double underscores."""
    described = json.loads((folder / CONFIG).read_text())
    for path, value in changes.items():
        place = described
        *parents, name = path.split("__")
        for parent in parents:
            place = place[parent]
        place[name] = value
    (folder / CONFIG).write_text(json.dumps(described))


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_there_and_back_nothing_changes(tmp_path: Path, activation: str) -> None:
    network, tokenizer = written(tmp_path, activation)
    back, tokenizer_back, processor = load_open_clip(tmp_path, "cpu")
    state, state_back = network.state_dict(), back.state_dict()
    assert state.keys() == state_back.keys()
    assert all(torch.equal(state[name], state_back[name]) for name in state)
    assert back.config.text_config.hidden_act == back.config.vision_config.hidden_act == activation
    assert back.config.vision_config.num_attention_heads == network.config.vision_config.num_attention_heads
    assert np.array_equal(tokens_of(tokenizer, TEXTS), tokens_of(tokenizer_back, TEXTS))
    ids = torch.from_numpy(tokens_of(tokenizer, TEXTS))
    with torch.no_grad():
        ours, theirs = (each.get_text_features(input_ids=ids).pooler_output for each in (network, back))
    assert torch.equal(ours, theirs), "the end of a text is found the other way, at the same place"
    picture = Image.linear_gradient("L").resize((90, 50)).convert("RGB")
    found = [each(images=[picture], return_tensors="pt")["pixel_values"] for each in (image_processor(), processor)]
    assert torch.equal(*found)


def test_names_and_shapes_are_those_of_open_clip(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network, _ = written(tmp_path)
    stored = load_file(tmp_path / WEIGHTS)
    width, dim = 16, 64
    expected = {
        "positional_embedding": (16, width),
        "text_projection": (width, dim),
        "visual.proj": (width, dim),
        "visual.positional_embedding": (17, width),
        "visual.conv1.weight": (width, 3, 16, 16),
        "visual.transformer.resblocks.0.attn.in_proj_weight": (3 * width, width),
        "transformer.resblocks.0.attn.in_proj_bias": (3 * width,),
        "transformer.resblocks.0.mlp.c_fc.weight": (4 * width, width),
    }
    assert {name: tuple(stored[name].shape) for name in expected} == expected
    attention = network.text_model.encoder.layers[0].self_attn
    middle = stored["transformer.resblocks.0.attn.in_proj_weight"][width : 2 * width]
    assert torch.equal(middle, attention.k_proj.weight), "queries, keys, values"


def test_it_is_an_encoder_like_any(tmp_path: Path) -> None:
    network, tokenizer = written(tmp_path / "open")
    save_checkpoint(tmp_path / "plain", network, tokenizer)
    ours, theirs = encoder(str(tmp_path / "plain")), encoder(str(tmp_path / "open"))
    assert encoder_shape(str(tmp_path / "open")) == (64, 64)
    assert np.array_equal(ours.texts(TEXTS), theirs.texts(TEXTS))
    assert np.array_equal(*(each.images([Image.new("RGB", (9, 70), "red")]) for each in (ours, theirs)))


def test_pickled_weights_and_a_text_tower_of_its_own(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network, _ = written(tmp_path)
    stored = load_file(tmp_path / WEIGHTS)
    (tmp_path / WEIGHTS).unlink()
    text = ("positional_embedding", "text_projection", "token_embedding", "ln_final", "transformer.")
    custom = {f"text.{name}" if name.startswith(text) else name: value for name, value in stored.items()}
    torch.save({"state_dict": {f"module.{name}": value for name, value in custom.items()}}, tmp_path / PICKLE)
    back, _, _ = load_open_clip(tmp_path, "cpu")
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_cfg__vision_cfg__timm_model_name": "convnext_base"}, "timm_model_name = 'convnext_base'"),
        ({"model_cfg__text_cfg__hf_model_name": "xlm-roberta-base"}, "hf_model_name = 'xlm-roberta-base'"),
        ({"model_cfg__vision_cfg__layers": [3, 4, 6, 3]}, "a ResNet"),
        ({"model_cfg__text_cfg__pool_type": "last"}, "pool_type = 'last'"),
        ({"model_cfg__vision_cfg__attentional_pool": True}, "attentional_pool = True"),
        ({"model_cfg__vision_cfg__image_size": [64, 32]}, "is no square"),
        ({"model_cfg__text_cfg": {"width": 16}}, "lacks 'heads'"),
        ({"model_cfg__vision_cfg": None}, "cannot be read"),
        ({"preprocess_cfg__resize_mode": "longest"}, "resized by longest"),
        ({"model_cfg__vision_cfg__layers": 2}, "have no counterpart"),
        ({"model_cfg__embed_dim": 32}, "cannot be loaded"),
    ],
)
def test_what_cannot_be_converted_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    written(tmp_path)
    changed(tmp_path, **changes)
    with pytest.raises(UsageError, match=message):
        load_open_clip(tmp_path, "cpu")


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    network, tokenizer = written(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_open_clip(tmp_path, "cpu")
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(UsageError, match="has no weights"):
        load_open_clip(tmp_path, "cpu")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match=r"no tokenizer\.json; open_clip keeps"):
        load_open_clip(tmp_path, "cpu")
    network.config.text_config.vocab_size += 1
    with pytest.raises(UsageError, match="by the highest number"):
        save_open_clip(network, tokenizer, tmp_path, image_processor())
