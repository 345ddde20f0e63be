"""A head learns what its labels say, tells how well on images it has not seen, and says when there is too little."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tiny import Pages, write_pages

from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.join import join
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.train_head import train_head
from tuwen.errors import TuwenError, UsageError
from tuwen.models.head import head_of
from tuwen.stages.safety.nsfw import Nsfw

NUM, WIDTH = 100, 8


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with vectors, of which the first number decides about labels."""
    folder = tmp_path_factory.mktemp("head")
    (folder / "pages").mkdir()
    write_pages(folder / "pages", "a", range(NUM))
    build(
        Recipe("t", (NamedSource("pages", Pages(str(folder / "pages"))),), (), {"name": "t"}), folder / "c", quiet=True
    )
    ids = Corpus.open(folder / "c").table("images", ["image_id"])["image_id"]
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(NUM, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    is_bad = vectors[:, 0] > 0
    columns = {
        "image_id": ids,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH),
        "is_bad": pa.array(is_bad, mask=np.arange(NUM) >= 90),
        "beauty": pa.array(3 * vectors[:, 1] + 5),
        "noise": pa.array(chance.permutation(is_bad)),
        "rare": pa.array(np.arange(NUM) < 3),
        "bit": pa.array((vectors[:, 0] > 0).astype(np.int64)),
        "word": pa.array(["a"] * NUM),
    }
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), folder / "labels.parquet")
    join(folder / "c", folder / "labels.parquet", on="image_id")
    return folder / "c"


def test_labels_are_learnt(corpus: Path, tmp_path: Path) -> None:
    found = train_head(corpus, "is_bad", tmp_path / "bad.npz", embedding="vector")
    assert (found.num_labels, found.measure, found.width) == (90, "AUC", WIDTH) and found.quality > 0.95
    head = head_of(found.path, "none", "number")
    assert head.output == "sigmoid" and head(np.eye(WIDTH, dtype=np.float32))[0] > 0.9
    again = train_head(corpus, "is_bad", tmp_path / "again.npz", embedding="vector")
    assert Path(again.path).read_bytes() == Path(found.path).read_bytes()


def test_the_command(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "train",
        "head",
        str(corpus),
        "--label",
        "is_bad",
        "--embedding",
        "vector",
        "--to",
        str(tmp_path / "h.npz"),
    ]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_true"] is not None
    assert main(words) == 2 and "is there already" in capsys.readouterr().err
    (tmp_path / "h.npz").unlink()
    assert main(words) == 0
    assert "AUC on images that it was not fitted to" in capsys.readouterr().out
    assert main([*words[:4], "nothing", *words[5:]]) == 2


def test_numbers_are_learnt(corpus: Path, tmp_path: Path) -> None:
    found = train_head(corpus, "beauty", tmp_path / "b.npz", embedding="vector")
    assert found.measure == "correlation" and found.quality > 0.98
    scores = head_of(found.path, "none", "number")(np.eye(WIDTH, dtype=np.float32))
    assert abs(scores[1] - 8) < 0.3


def test_zeros_and_ones_are_classes(corpus: Path, tmp_path: Path) -> None:
    found = train_head(corpus, "bit", tmp_path / "bit.npz", embedding="vector")
    assert found.measure == "AUC" and found.num_true is not None
    numbers = train_head(corpus, "beauty", tmp_path / "beauty.npz", embedding="vector")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.eye(WIDTH, dtype=np.float32).ravel()), WIDTH)
    batch = pa.record_batch({"embedding": vectors})
    assert Nsfw(found.path)(batch)["nsfw_score"][0].as_py() > 0.9
    with pytest.raises(UsageError, match="gives no probabilities"):
        Nsfw(numbers.path)(batch)


def test_noise_is_not_called_learnt(corpus: Path, tmp_path: Path) -> None:
    assert train_head(corpus, "noise", tmp_path / "n.npz", embedding="vector").quality < 0.7


def test_too_little_or_nothing_to_learn_from(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(TuwenError, match="3 true and 97 false"):
        train_head(corpus, "rare", tmp_path / "r.npz", embedding="vector")
    with pytest.raises(UsageError, match="holds string"):
        train_head(corpus, "image_id", tmp_path / "w.npz", embedding="vector")
    with pytest.raises(UsageError, match="holds string"):
        train_head(corpus, "word", tmp_path / "w.npz", embedding="vector")
    with pytest.raises(UsageError, match="no column 'unknown'"):
        train_head(corpus, "unknown", tmp_path / "u.npz", embedding="vector")
    with pytest.raises(UsageError, match=r"written as \.npz"):
        train_head(corpus, "is_bad", tmp_path / "u.pt", embedding="vector")
    assert not list(tmp_path.iterdir())
