"""The folder of a scorer: folds, tokenizer, checkpoints that others load, damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scorers
from PIL import Image

pytest.importorskip("torch")

from tuwen.errors import UsageError
from tuwen.models.contrastive import (
    Examples,
    deterministic,
    image_embeddings,
    text_embeddings,
)
from tuwen.models.encoder import encoder
from tuwen.models.scorer import (
    DIM,
    SIDE,
    fold_of,
    new_network,
    open_scorer,
    save_checkpoint,
    scorer_files,
    tokens_of,
    train_tokenizer,
)

TEXTS = ["A red fox", "一只红色的狐狸", "ثعلب أحمر", "  spaced\n out ", "", "x" * 500, "<|endoftext|> inside"]


def test_folds_are_even_and_depend_on_key_and_seed_alone() -> None:
    folds = [fold_of(f"image {number}", 4, 0) for number in range(2_000)]
    assert min(np.bincount(folds)) > 400
    assert folds == [fold_of(f"image {number}", 4, 0) for number in range(2_000)]
    assert folds != [fold_of(f"image {number}", 4, 1) for number in range(2_000)]


def test_the_tokenizer_reads_any_script_and_ends_with_the_highest_number() -> None:
    tokenizer = train_tokenizer(TEXTS, scorers.TINY)
    tokens = tokens_of(tokenizer, TEXTS)
    assert tokens.shape == (len(TEXTS), scorers.TINY.context)
    end, start = tokenizer.eos_token_id, tokenizer.bos_token_id
    assert end == len(tokenizer) - 1 and start == end - 1 and (tokens[:, 0] == start).all()
    assert (tokens == end).any(axis=1).all(), "a text that is cut ends too"
    assert tokenizer.decode(tokens[1], skip_special_tokens=True).strip(" \ufffd") in TEXTS[1]
    assert np.array_equal(*tokens_of(tokenizer, ["Red  FOX ", "red fox"]))


def test_a_checkpoint_computes_what_was_trained(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, scorers.TINY)
    with deterministic(3):
        network = new_network(scorers.TINY, tokenizer)
    save_checkpoint(tmp_path, network, tokenizer)
    pictures = [Image.linear_gradient("L").resize((90, 200)).convert("RGB"), Image.new("RGB", (7, 5), "red")]
    pixels = np.stack([np.asarray(each.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for each in pictures])
    tokens, places = tokens_of(tokenizer, TEXTS), np.arange(len(TEXTS))
    examples = Examples(pixels, tokens, tokenizer.eos_token_id, places, places, places)
    loaded = encoder(str(tmp_path))
    assert loaded.dim == DIM and loaded.image_side == SIDE
    assert loaded.images(pictures) == pytest.approx(image_embeddings(network, examples, places[:2]), abs=1e-5)
    assert loaded.texts(TEXTS) == pytest.approx(text_embeddings(network, examples, places), abs=1e-5)


def test_images_that_were_seen_keep_their_fold(tmp_path: Path) -> None:
    seen = {f"image {number}": 1 - fold_of(f"image {number}", 2, 0) for number in range(5)}
    scorer = open_scorer(scorer_files(str(scorers.write_scorer(tmp_path / "s", seen))))
    assert [scorer.fold(key) for key in seen] == list(seen.values())
    assert scorer.fold("image 9") == fold_of("image 9", 2, 0)


def test_damaged_folders_are_refused_with_advice(tmp_path: Path) -> None:
    def refused(folder: Path, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            open_scorer(scorer_files(str(folder)))

    refused(tmp_path, "holds no scorer.json; name a folder that `tuwen train scorer` wrote")
    folder = scorers.write_scorer(tmp_path / "s")
    described = folder / "scorer.json"
    good = json.loads(described.read_text())
    for bad in ("{", "[]", "{}", json.dumps({**good, "folds": "two"}), json.dumps({**good, "verdict": None})):
        described.write_text(bad)
        refused(folder, "is damaged .*train the scorer again")
    described.write_text(json.dumps({**good, "format": 9}))
    refused(folder, "has format 9, this tuwen reads 1")
    described.write_text(json.dumps({**good, "verdict": {"learned": False, "reason": "AUC 0.5"}}))
    refused(folder, r"learnt nothing \(AUC 0.5\)")
    described.write_text(json.dumps({**good, "folds": 3}))
    refused(folder, "lacks fold-2")
    described.write_text(json.dumps(good))
    (folder / "images.arrow").write_bytes(b"no table")
    refused(folder, "images.arrow cannot be read")
    (folder / "fold-1" / "model.safetensors").unlink()
    refused(folder, "has no weights")
