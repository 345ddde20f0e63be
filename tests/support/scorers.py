"""Scorers on disk: with random weights for whoever needs a folder, and a corpus that one can be trained on."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import tuwen
from tuwen.engine.recipe import Recipe
from tuwen.models.contrastive import deterministic
from tuwen.models.scorer import SEEN, SEEN_SCHEMA, Shape, new_network, save_checkpoint, train_tokenizer

TINY = Shape(width=16, layers=1, text_width=16, text_layers=1, vocabulary=270, context=16)
SMALL = Shape(width=32, layers=1, text_width=32, text_layers=1, vocabulary=320, context=16)
COLOURS = {
    "red": (220, 20, 20),
    "绿色": (20, 200, 20),
    "blue": (20, 20, 220),
    "白色": (250, 250, 250),
    "black": (5, 5, 5),
    "黄色": (240, 220, 20),
}


def write_scorer(folder: Path, seen: Mapping[str, int] | None = None, *, learned: bool = True) -> Path:
    """A folder as `tuwen train scorer` writes it, whose models were never trained."""
    folder.mkdir(parents=True)
    for fold in range(2):
        tokenizer = train_tokenizer(["a red fox", "一只红色的狐狸"], TINY)
        with deterministic(fold):
            network = new_network(TINY, tokenizer)
        save_checkpoint(folder / f"fold-{fold}", network, tokenizer)
    table = pa.table({"image_id": sorted(seen or {}), "fold": [(seen or {})[key] for key in sorted(seen or {})]})
    with pa.ipc.new_file(str(folder / SEEN), SEEN_SCHEMA) as writer:
        writer.write_table(table.cast(SEEN_SCHEMA))
    described = {"format": 1, "folds": 2, "seed": 0, "verdict": {"learned": learned, "reason": "it is a test"}}
    (folder / "scorer.json").write_text(json.dumps(described) + "\n", encoding="utf-8")
    return folder


def write_coloured_corpus(folder: Path, count: int = 240, stages: tuple[Any, ...] = ()) -> Path:
    """A corpus of one-coloured pictures. Each has a true text (`true`) and one of any colour (`any`); selections of
    these names, and `few`, `figures`."""
    generator, names = np.random.default_rng(0), list(COLOURS)
    rows = []
    for number in range(count):
        colour = names[number % len(names)]
        pixels = np.clip(np.array(COLOURS[colour]) + generator.integers(-20, 20, (24, 30, 3)), 0, 255)
        stream = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        for kind, word in (("true", colour), ("any", names[generator.integers(len(names))])):
            rows.append({"image": stream.getvalue(), "text": f"{word} 图", "kind": kind, "number": number})
    rows.append({"image": stream.getvalue()[:60], "text": "red 图", "kind": "true", "number": count})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    build(folder, stages)
    return folder / "corpus"


def build(folder: Path, stages: tuple[Any, ...] = ()) -> None:
    """Bring the corpus of `write_coloured_corpus` up to date with further stages."""
    there = {"rule": "image_id is not null"}
    recipe = {
        "name": "colours",
        "description": "Pictures of one colour.",
        "sources": [{"parquet": {"paths": [str(folder / "rows.parquet")]}}],
        "stages": ["pair.resolve", {"pair.given": {"columns": {"kind": "string", "number": "int64"}}}, *stages],
        "selections": {
            "true": {"unit": "pair", "steps": [there, {"rule": "kind = 'true'"}]},
            "any": {"unit": "pair", "steps": [there, {"rule": "kind = 'any'"}]},
            "few": {"unit": "pair", "steps": [there, {"rule": "number < 9"}]},
            "figures": {"unit": "image", "steps": []},
        },
    }
    tuwen.build(Recipe.from_mapping(recipe), folder / "corpus", quiet=True)
