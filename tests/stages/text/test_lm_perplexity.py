"""Perplexity against transformers itself, on a GPT-2 of two layers with random weights and 288 tokens."""

from __future__ import annotations

import json
import math
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tuwen.errors import TuwenError, UsageError
from tuwen.models.causal_lm import causal_lm
from tuwen.models.checkpoint import model_files
from tuwen.stages.text.lm_perplexity import LmPerplexity

MODEL = Path(__file__).parent.parent / "data" / "tiny-gpt2"
TEXTS = ["a red fox in the snow", "GerbView 主窗口，显示两个图层", "设定画面", "ไทย", "نافذة", "🙂\u0000", "x" * 90]


def scored(texts: list[str | None], stage: LmPerplexity | None = None) -> list[dict[str, Any]]:
    stage = stage or LmPerplexity(str(MODEL))
    found: list[dict[str, Any]] = stage(pa.record_batch({"text": pa.array(texts, pa.string())})).to_pylist()
    return found


def directly(text: str, max_tokens: int = 512) -> float:
    """One text at a time, as transformers computes its own loss."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(MODEL), AutoModelForCausalLM.from_pretrained(MODEL)
    ids = [tokenizer.bos_token_id, *tokenizer(text)["input_ids"]][:max_tokens]
    with torch.no_grad():
        return math.exp(network(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss)


def test_equal_to_transformers() -> None:
    found = scored(TEXTS)
    assert [row["lm_perplexity"] for row in found] == pytest.approx([directly(text) for text in TEXTS], rel=1e-5)
    assert found[2]["lm_num_tokens"] == len("设定画面".encode())  # this tokenizer knows no Chinese: bytes
    assert found[0]["lm_num_tokens"] < len(TEXTS[0])


def test_empty_null_and_one_token() -> None:
    empty, null, one = scored(["", None, "a"])
    assert empty == {"lm_perplexity": None, "lm_num_tokens": 0}
    assert null == {"lm_perplexity": None, "lm_num_tokens": None}
    assert one["lm_num_tokens"] == 1
    assert one["lm_perplexity"] == pytest.approx(directly("a"), rel=1e-5)


@pytest.mark.parametrize("max_tokens", [2, 20, 512])
def test_long_texts_are_cut(max_tokens: int) -> None:
    text = "the snow 雪 " * 1_000
    (row,) = scored([text], LmPerplexity(str(MODEL), max_tokens=max_tokens))
    assert row["lm_num_tokens"] > 5_000
    assert row["lm_perplexity"] == pytest.approx(directly(text, max_tokens), rel=1e-5)


def test_without_a_start_token_the_first_token_is_not_scored(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    path = folder / "tokenizer_config.json"
    told = {name: value for name, value in json.loads(path.read_text()).items() if not name.endswith("os_token")}
    path.write_text(json.dumps(told))
    one, two = scored(["a", "xy"], LmPerplexity(str(folder)))
    assert one == {"lm_perplexity": None, "lm_num_tokens": 1}
    assert two["lm_perplexity"] is not None
    assert two["lm_perplexity"] != scored(["xy"])[0]["lm_perplexity"]


def test_to_the_last_bit_whatever_the_neighbours() -> None:
    rng = random.Random(3)
    texts = ["".join(rng.choices("abcdef 图文语料", k=rng.randint(1, 200))) for _ in range(60)]
    stage = LmPerplexity(str(MODEL), batch_size=7)
    whole = dict(zip(texts, scored(texts, stage), strict=True))
    for _ in range(3):
        rng.shuffle(texts)
        cut = rng.randint(1, 59)
        assert scored(texts[:cut], stage) + scored(texts[cut:], stage) == [whole[text] for text in texts]


def test_batch_size_hardly_matters() -> None:
    one, many = (scored(TEXTS, LmPerplexity(str(MODEL), batch_size=size)) for size in (1, 32))
    for first, second in zip(one, many, strict=True):
        assert first["lm_perplexity"] == pytest.approx(second["lm_perplexity"], rel=1e-4)


def test_pickles_without_the_model() -> None:
    stage = LmPerplexity(str(MODEL))
    before = scored(TEXTS, stage)
    assert len(pickle.dumps(stage)) < 1_000
    assert scored(TEXTS, pickle.loads(pickle.dumps(stage))) == before
    files = model_files(str(MODEL))
    assert causal_lm(files, "cpu") is causal_lm(files, "cpu")


def test_hash_is_of_configuration_tokenizer_and_weights(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    stage = LmPerplexity(str(folder))
    before = stage.model_hash()
    assert before == LmPerplexity(str(MODEL)).model_hash()
    (folder / "README.md").write_text("not part of it")
    assert stage.model_hash() == before
    seen = {before}
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data + b" ")
        assert stage.model_hash() not in seen
        seen.add(stage.model_hash())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_is_missing_is_said_before_anything_is_computed(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(UsageError, match=r"config\.json" if name == "config.json" else "weights"):
        LmPerplexity(str(folder)).model_hash()


@pytest.mark.parametrize("model", ["no/such/folder", "/no/such/folder", "nobody-has/this-model", "gone"])
def test_no_such_model(model: str) -> None:
    with pytest.raises(UsageError, match=f"(?s)'{model}'.*nothing is downloaded.*hf download"):
        LmPerplexity(model).model_hash()


def weights_cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5_000])


@pytest.mark.parametrize(
    "damage",
    [
        weights_cut,
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text('{"model_type": "no such type"}'),
        lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2", "n_embd": 24, "n_head": 2}'),
        lambda folder: (folder / "config.json").write_text(
            '{"model_type": "gpt2", "n_embd": 16, "n_head": 2, "n_layer": 3}'
        ),
        lambda folder: (folder / "tokenizer.json").write_text("[]"),
    ],
)
def test_broken_models(tmp_path: Path, damage: Any) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    damage(folder)
    with pytest.raises(UsageError, match=r"(?s)cannot be loaded.*save_pretrained"):
        scored(["a"], LmPerplexity(str(folder)))


def test_parameters() -> None:
    for wrong in ({"model": ""}, {"batch_size": 0}, {"max_tokens": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LmPerplexity(**{"model": str(MODEL), **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="512 positions"):
        scored(["a"], LmPerplexity(str(MODEL), max_tokens=513))
    with pytest.raises(UsageError, match="device 'nowhere'"):
        scored(["a"], LmPerplexity(str(MODEL), device="nowhere"))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    causal_lm.cache_clear()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TuwenError, match=r"pip install 'tuwen\[transformers\]'"):
        scored(["a"])


def test_loading_says_nothing() -> None:
    """Progress bars of a library would tear that of a build."""
    code = "import test_lm_perplexity as t; t.scored(['a'])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert run.stdout + run.stderr == ""
