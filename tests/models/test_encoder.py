"""Vectors against transformers itself, on tiny checkpoints of every kind, with texts and images that hurt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from PIL import Image

from tuwen.errors import UsageError
from tuwen.models.encoder import encoder, encoder_hash, encoder_shape

TINY = Path(__file__).parent.parent / "stages" / "data" / "tiny-clip"  # as `checkpoints.clip` writes it
TEXTS = [
    "a red fox in the snow",
    "一只狐狸在雪地里走过",
    "نافذة البرنامج",
    "🙂👩‍👩‍👧\u0000\ufeff",
    "",
    "   \n",
    "x" * 10_000,
    "fox! " * 2_000,
]


def pictures() -> list[Image.Image]:
    coloured = Image.fromarray(np.random.default_rng(0).integers(0, 256, (47, 61, 3), dtype=np.uint8))
    return [
        coloured,
        Image.new("RGB", (1, 1), "red"),
        coloured.resize((3, 90)),
        coloured.resize((16, 16)),
        coloured.convert("RGBA").convert("RGB"),
        Image.linear_gradient("L").convert("RGB"),
    ]


@pytest.fixture(scope="module", params=sorted(checkpoints.CHECKPOINTS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.CHECKPOINTS[request.param](tmp_path_factory.mktemp("models") / request.param)


def unit(vector: Any) -> Any:
    found = vector.numpy()[0]
    return found / np.linalg.norm(found)


def test_equal_to_transformers(folder: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(folder).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 64} if "siglip" in folder.name else {}
    if not padding:
        padding["max_length"] = {"clip": 77, "chinese_clip": 52}.get(folder.name, 32)
    ours = encoder(str(folder))
    with torch.inference_mode():
        for text, found in zip(TEXTS, ours.texts(TEXTS), strict=True):
            inputs = tokenizer([text], truncation=True, return_tensors="pt", **padding)
            expected = unit(network.get_text_features(**inputs).pooler_output)
            assert found == pytest.approx(expected, abs=2e-5), text[:20]
        for image, found in zip(pictures(), ours.images(pictures()), strict=True):
            inputs = processor(images=image, return_tensors="pt")
            assert found == pytest.approx(unit(network.get_image_features(**inputs).pooler_output), abs=2e-5)
    assert encoder_shape(str(folder)) == (ours.dim, ours.image_side) == (len(found), checkpoints.SIDE)


def test_to_the_last_bit_whatever_the_neighbours(folder: Path) -> None:
    ours = encoder(str(folder))
    texts, images = TEXTS * 2, pictures() * 2
    whole, seen = ours.texts(texts, 5), ours.images(images, 5)
    order = np.random.default_rng(1).permutation(len(texts))
    assert np.array_equal(ours.texts([texts[place] for place in order], 5), whole[order])
    assert np.array_equal(np.concatenate([ours.texts([text], 5) for text in TEXTS]), whole[: len(TEXTS)])
    assert np.array_equal(np.concatenate([ours.images([image], 5) for image in images]), seen)
    assert np.array_equal(ours.images(images[::-1], 5), seen[::-1])
    assert ours.texts([]).shape == ours.images([]).shape == (0, ours.dim)


def test_features(folder: Path) -> None:
    ours = encoder(str(folder))
    image, text = pictures()[0].resize((90, 30)), "a red fox"
    for found, pooled in (
        (ours.images([image]), ours.image_features([image])),
        (ours.texts([text]), ours.text_features([text])),
    ):
        assert pooled[0] / np.linalg.norm(pooled[0]) == pytest.approx(found[0], abs=1e-6)
    (tokens,), (grid,) = ours.image_features([image], "tokens"), ours.image_features([image], "grid")
    patches = grid.reshape(-1, grid.shape[-1])
    assert grid.shape == ((2, 6, 16) if folder.name == "siglip2" else (4, 4, 16))
    assert np.array_equal(tokens[len(tokens) - len(patches) :], patches)  # a class token comes first
    short, long = ours.text_features([text, "x y " * 100], "tokens")
    assert short.shape[1] == 16
    assert len(long) == ours.max_tokens  # type: ignore[attr-defined]
    assert len(short) == (64 if "siglip" in folder.name else len(ours.tokenizer(text)["input_ids"]))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no grid"):
        ours.text_features([text], "grid")


def test_a_strip_costs_no_memory_and_shows_its_middle() -> None:
    ours = encoder(str(TINY))
    strip = Image.linear_gradient("L").resize((100_000, 2)).convert("RGB")
    middle = strip.crop((49_984, 0, 50_016, 2))
    assert ours.images([strip])[0] == pytest.approx(ours.images([middle])[0], abs=1e-6)


def test_the_shorter_side_is_what_preprocessing_resizes_to(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    checkpoints.changed(folder, "preprocessor_config.json", size={"shortest_edge": 24})
    assert encoder_shape(str(folder)) == (checkpoints.DIM, 24)
    (folder / "preprocessor_config.json").unlink()
    assert encoder_shape(str(folder)) == (checkpoints.DIM, checkpoints.SIDE)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ('{"model_type": "siglip", "vision_config": {}}', (768, 224)),
        ('{"model_type": "siglip2", "vision_config": {"hidden_size": 1152}}', (1152, 256)),
        ('{"model_type": "chinese_clip", "vision_config": {"image_size": 336}}', (512, 336)),
        ('{"model_type": "altclip"}', (768, 224)),
    ],
)
def test_what_a_configuration_leaves_out_is_the_default_of_transformers(
    tmp_path: Path, config: str, shape: tuple[int, int]
) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert encoder_shape(str(tmp_path)) == shape


def test_the_shape_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    code = f"""import sys; from tuwen.models.encoder import encoder_shape; print(encoder_shape({str(tmp_path)!r}))
assert not {{'torch', 'transformers'}} & set(sys.modules)"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "(512, 224)\n"
    )


def test_the_hash_covers_weights_preprocessing_and_tokenizer(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    found = {encoder_hash(str(folder))}
    assert {encoder_hash(str(shutil.copytree(folder, tmp_path / "copy")))} == found
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"):
        with (folder / file).open("ab") as stream:
            stream.write(b" ")
        found.add(encoder_hash(str(folder)))
    assert len(found) == 5


def damaged(folder: Path, how: str) -> str:
    """The folder of a checkpoint with something wrong, or the name of none."""
    if how == "weights are missing":
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        weights.pop("visual_projection.weight")
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    elif how == "weights are cut off":
        data = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    elif how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "no image processor":
        (folder / "preprocessor_config.json").unlink()
    elif how == "broken configuration":
        (folder / "config.json").write_text("{")
    elif how == "no dual encoder":
        return str(TINY.parent / "tiny-gpt2")
    elif how == "nothing there":
        return "no/such-model"
    return str(folder)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("weights are missing", "lacks 1 weights, among them visual_projection.weight"),
        ("weights are cut off", "cannot be loaded"),
        ("no weights", "has no weights"),
        ("no tokenizer", "has no tokenizer"),
        ("no image processor", "cannot be loaded"),
        ("broken configuration", "cannot be read"),
        ("no dual encoder", "dual encoder of images and texts"),
        ("nothing there", "neither a folder nor in the local cache"),
    ],
)
def test_what_is_missing_or_damaged_is_told(tmp_path: Path, how: str, message: str) -> None:
    model = damaged(Path(shutil.copytree(TINY, tmp_path / "model")), how)
    with pytest.raises(UsageError, match=message):
        encoder(model)


def test_no_such_device() -> None:
    with pytest.raises(UsageError, match="device 'warp'"):
        encoder(str(TINY), "warp")
