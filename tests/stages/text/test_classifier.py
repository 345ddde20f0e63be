"""A classifier from a few labels, from a file and from a column of the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memory_corpus import MemoryCorpus

from tuwen.errors import UsageError
from tuwen.models.text_classifier import BITS, features
from tuwen.parts import load
from tuwen.stages.text.classifier import Classifier

FILE = Path(__file__).parents[1] / "data" / "labels.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
NEW = [
    "A red fox at the river",
    "Order now, free shipping, limited sale",
    "石桥与红狐狸",
    "点击购买，包邮优惠",
    "",
    None,
]


def scores(stage: Classifier, corpus: Any = None, texts: list[str | None] = NEW) -> list[float | None]:
    state = stage.prepare(corpus)
    found: list[float | None] = stage(pa.record_batch({"text": pa.array(texts, pa.string())}), state)[0].to_pylist()
    return found


def test_from_a_file() -> None:
    good, bad, gut, schlecht, empty, null = scores(Classifier(labelled=str(FILE)))
    assert good and bad and gut and schlecht
    assert good > 0.5 > bad and gut > 0.5 > schlecht
    assert empty is None and null is None


def test_auc_is_in_the_state() -> None:
    state = Classifier(labelled=str(FILE)).prepare(None)  # type: ignore[arg-type]
    assert 0.7 < state["auc"][0].as_py() <= 1
    assert (state["num_positive"][0].as_py(), state["num_negative"][0].as_py()) == (11, 10)  # digits are all alike


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.float64(), pa.string()])
def test_from_a_joined_column(kind: pa.DataType) -> None:
    labels = pa.array([row["label"] for row in ROWS]).cast(kind)
    names = pa.array([*labels.to_pylist(), None], kind)
    corpus = MemoryCorpus(pairs={"text": [*(row["text"] for row in ROWS), "no label"], "ad": names})
    assert scores(Classifier(labels="ad"), corpus) == scores(Classifier(labelled=str(FILE)))
    assert Classifier(labels="ad").surveys == ("pairs.text", "pairs.ad")


def test_class_names_and_the_order_of_rows() -> None:
    turned = ROWS[::-1]
    names = ["good" if row["label"] else "spam" for row in turned]
    corpus = MemoryCorpus(pairs={"text": [row["text"] for row in turned], "label": names})
    assert scores(Classifier(positive="good"), corpus) == scores(Classifier(labelled=str(FILE)))
    with pytest.raises(UsageError, match="positive"):
        Classifier().prepare(corpus)  # type: ignore[arg-type]


def test_one_class_is_not_enough() -> None:
    with pytest.raises(UsageError, match="2 positive and 0 negative"):
        Classifier().prepare(MemoryCorpus(pairs={"text": ["a", "b"], "label": [True, True]}))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["{", "[]", '{"text": "a"}', '{"text": 3, "label": 1}', "\udcff"])
def test_broken_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"labels\.jsonl"):
        Classifier(labelled=str(path)).prepare(None)  # type: ignore[arg-type]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in ROWS), encoding="utf-8")
    assert scores(Classifier(labelled=str(path))) == scores(Classifier(labelled=str(FILE)))


def test_a_missing_file() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        load("tuwen.stages", "text.classifier", {"labelled": "nowhere.jsonl"})


def test_features_do_not_depend_on_neighbours() -> None:
    alone, _ = features(["red fox"])
    places, owners = features(["", "a b", "red fox", "图文"])
    assert sorted(places[owners == 2]) == sorted(alone)
    assert alone.min() >= 0 and alone.max() < 1 << BITS
    assert len(alone) == 4 * len("red fox$") + 2
    same = [features([text])[0][-1] for text in ("fox", "oxf")]
    assert same[0] != same[1]
    assert np.array_equal(features([])[0], [])
