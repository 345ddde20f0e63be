"""`tuwen train scorer`: what it learns, what it refuses, and that the same corpus gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scorers

pytest.importorskip("torch")

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.engine import train_scorer as module
from tuwen.engine.scorer_pairs import near_images, read_pairs
from tuwen.engine.train_scorer import train_scorer
from tuwen.errors import UsageError
from tuwen.models.scorer import fold_of, open_scorer, scorer_files

OPTIONS: dict[str, Any] = {"folds": 2, "shape": scorers.SMALL, "batch_size": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("colours")
    scorers.write_coloured_corpus(place)
    return place


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    return train_scorer(folder / "corpus", "true", folder / "scorer", steps=30, **OPTIONS)


def digests(place: Path) -> dict[str, str]:
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_colours_are_learnt(folder: Path, trained: dict[str, Any]) -> None:
    assert trained["verdict"]["learned"] and trained["auc"]["low"] > 0.7
    assert trained["num_pairs"] == trained["num_images"] == 240 and trained["num_texts"] == 6
    assert trained["num_undecodable_images"] == 1
    assert [len(curve) for curve in trained["curves"]] == [8, 8]
    for curve, step in zip(trained["curves"], trained["chosen_steps"], strict=True):
        assert curve[-1]["loss"] < curve[0]["loss"] and curve[-1]["step"] == 30
        assert {point["step"]: point["auc"] for point in curve}[step] == max(point["auc"] for point in curve)
    assert trained["auc_new_texts"] is None  # every colour is in both folds
    assert json.loads((folder / "scorer" / "scorer.json").read_text()) == trained
    assert sorted(path.name for path in (folder / "scorer").iterdir()) == [
        "fold-0", "fold-1", "images.arrow", "scorer.json",
    ]  # fmt: skip
    assert not list(folder.glob(".*"))


def test_no_image_is_scored_by_a_model_that_saw_it(folder: Path, trained: dict[str, Any], tmp_path: Path) -> None:
    pairs = read_pairs(Corpus.open(folder / "corpus"), "true", tmp_path / "p.npy", max_pairs=1_000, seed=0)
    scorer = open_scorer(scorer_files(str(folder / "scorer")))
    folds = [scorer.fold(image_id) for image_id in pairs.image_ids]
    assert folds == [fold_of(image_id, 2, 0) for image_id in pairs.image_ids]
    assert np.bincount([folds[place] for place in pairs.image]).tolist() == trained["fold_pairs"]
    assert 90 < trained["fold_pairs"][0] < 150


def test_the_stages_score_true_texts_higher(folder: Path, trained: dict[str, Any]) -> None:
    model = {"model": str(folder / "scorer")}
    scorers.build(folder, ({"image.scorer": model}, {"pair.scorer": model}))
    corpus = Corpus.open(folder / "corpus")
    images = corpus.table("images", ["image_id", "scorer_embedding", "scorer_fold"]).to_pylist()
    assert all(row["scorer_fold"] == fold_of(row["image_id"], 2, 0) for row in images if row["scorer_embedding"])
    assert sum(row["scorer_embedding"] is None for row in images) == 1  # the broken one
    rows = corpus.table("pairs", ["number", "kind", "text", "scorer_similarity"]).to_pandas()
    both = rows.pivot(index="number", columns="kind", values=["text", "scorer_similarity"]).dropna()
    differ = both[both["text"]["true"] != both["text"]["any"]]["scorer_similarity"]
    same = both[both["text"]["true"] == both["text"]["any"]]["scorer_similarity"]
    assert (differ["true"] > differ["any"]).mean() > 0.8 and (same["true"] == same["any"]).all()
    assert rows["scorer_similarity"].isna().sum() == 1


def test_the_same_corpus_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_scorer(folder / "corpus", "true", tmp_path / name, steps=3, **OPTIONS)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    other = train_scorer(folder / "corpus", "true", tmp_path / "c", steps=3, seed=1, **OPTIONS)
    assert digests(tmp_path / "c") != digests(tmp_path / "a") and other["seed"] == 1


def test_texts_of_any_colour_teach_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 64)
    monkeypatch.setattr(module.train_scorer, "__kwdefaults__", {**module.train_scorer.__kwdefaults__, **OPTIONS})
    to = str(tmp_path / "scorer")
    words = ["train", "scorer", str(folder / "corpus"), "--selection", "any", "--to", to, "--steps", "30"]
    assert main([*words, "--workers", "1"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "It can't learn from this: AUC" in told and "▁" in told and "stages refuse this scorer" in told
    with pytest.raises(UsageError, match=r"learnt nothing .*despite_verdict: true"):
        scorer_files(to)
    assert len(scorer_files(to, despite_verdict=True)) > 10
    assert main(words) == 2  # the folder is there
    assert "is there already; name a new folder" in capsys.readouterr().err


def test_too_few_pairs_are_told_before_training(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "scorer", str(folder / "corpus"), "--selection", "few", "--to", str(tmp_path / "s"), "--json"]
    assert main(words) == 1
    found = json.loads(capsys.readouterr().out)
    assert 9 < found["num_pairs"] <= 18 and not found["verdict"]["learned"]
    assert found["verdict"]["reason"].endswith("pairs with an image and a text; it takes 200 to say anything")
    assert found["curves"] == [] and found["auc"] is None
    with pytest.raises(UsageError, match="learnt nothing"):
        scorer_files(str(tmp_path / "s"))
    with pytest.raises(UsageError, match="lacks fold-0, fold-1"):
        scorer_files(str(tmp_path / "s"), despite_verdict=True)


def test_a_run_that_dies_leaves_no_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".scorer.unfinished" / "fold-0").mkdir(parents=True)  # of one that was killed
    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_images", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_scorer(folder / "corpus", "few", tmp_path / "scorer", **OPTIONS)
    assert not list(tmp_path.iterdir())
    train_scorer(folder / "corpus", "few", tmp_path / "scorer", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["scorer"]


def test_more_pairs_than_asked_for_are_a_seeded_sample(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    drawn = [read_pairs(corpus, "true", tmp_path / "p.npy", max_pairs=50, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].pair_ids == drawn[1].pair_ids == sorted(drawn[0].pair_ids) != drawn[2].pair_ids
    assert 49 <= len(drawn[0].pair_ids) <= 50  # one image does not decode
    pixels = np.load(tmp_path / "p.npy")
    for pair, place in enumerate(drawn[2].image):  # each pair's picture has the colour that its text names
        name = drawn[2].texts[drawn[2].text[pair]].split()[0]
        assert np.abs(pixels[place].mean((0, 1)) - scorers.COLOURS[name]).max() < 25


def test_near_duplicates_share_a_fold(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    pairs = read_pairs(corpus, "few", tmp_path / "p.npy", max_pairs=50, seed=0)
    clusters = pa.table({"image_id": ["x", "y", pairs.image_ids[0]], "image_cluster": [pairs.keys[0], "z", "z"]})

    class Clustered:
        def current_columns(self, table: str) -> dict[str, str]:
            return {"image_cluster": "dedup.images"}

        def scan(self, table: str, columns: list[str]) -> pa.RecordBatchReader:
            return clusters.to_reader()

    found = near_images(Clustered(), pairs)  # type: ignore[arg-type]
    assert found["x"] == pairs.keys[0] and "y" not in found and len(found) == 10


@pytest.mark.parametrize(
    ("selection", "options", "message"),
    [
        ("figures", {}, "keeps images; a scorer is trained on a selection of pairs"),
        ("tru", {}, "did you mean 'true'"),
        ("true", {"folds": 1}, "--folds is 1; it must be 2 to 100"),
    ],
)
def test_wrong_requests(folder: Path, tmp_path: Path, selection: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train_scorer(folder / "corpus", selection, tmp_path / "scorer", **options)
    assert not list(tmp_path.iterdir())
