"""`image.scorer` and `pair.scorer`: each image by the model of its fold, each text by the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scorers
from PIL import Image

pytest.importorskip("torch")

from tuwen.errors import UsageError
from tuwen.models.encoder import encoder
from tuwen.stages.image.pixels import decode
from tuwen.stages.image.scorer import Scorer
from tuwen.stages.pair.scorer import Scorer as PairScorer

SEEN = {"a": 0, "b": 1, "c": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(scorers.write_scorer(tmp_path_factory.mktemp("scorer") / "s", SEEN))


def picture(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def test_each_image_and_its_texts_go_to_the_model_of_its_fold(folder: str) -> None:
    colours = {"a": "red", "b": "red", "c": "blue"}
    data = [*map(picture, colours.values()), None]
    batch = pa.record_batch({"image_id": [*colours, "d"], "bytes": pa.array(data, pa.large_binary())})
    images = Scorer(model=folder)(batch, pixels=[decode(each, 128) for each in data])
    assert images["scorer_fold"].to_pylist() == [0, 1, 1, None]
    vectors = np.array(images["scorer_embedding"].to_pylist()[:3], dtype=np.float32)
    models = [encoder(f"{folder}/fold-{fold}") for fold in (0, 1, 1)]
    expected = [
        model.images([Image.new("RGB", (40, 30), colours[key])])[0] for model, key in zip(models, "abc", strict=True)
    ]
    assert vectors == pytest.approx(np.stack(expected), abs=1e-3)  # halves
    assert np.abs(vectors[0] - vectors[1]).max() > 0.05, "two models, two spaces"

    texts = ["一只红色的狐狸", "a red fox", None, "nothing"]
    pairs = pa.record_batch(
        {
            "text": texts,
            "image.scorer_embedding": images["scorer_embedding"],
            "image.scorer_fold": images["scorer_fold"],
        }
    )
    found = PairScorer(model=folder)(pairs)["scorer_similarity"].to_pylist()
    assert found[2:] == [None, None]
    for row in range(2):
        model = encoder(f"{folder}/fold-{row}")
        assert found[row] == pytest.approx(float(model.texts([texts[row]])[0] @ expected[row]), abs=2e-3)


def test_a_scorer_that_learnt_nothing_is_refused(tmp_path: Path) -> None:
    folder = str(scorers.write_scorer(tmp_path / "s", learned=False))
    for stage in (Scorer, PairScorer):
        with pytest.raises(UsageError, match="learnt nothing"):
            stage(model=folder).model_hash()
        assert stage(model=folder, despite_verdict=True).model_hash()
        with pytest.raises(UsageError, match=r"holds no scorer\.json"):
            stage(model=str(tmp_path)).model_hash()
        with pytest.raises(ValueError, match="tuwen train scorer"):
            stage(model="")


def test_every_file_is_in_the_freshness(tmp_path: Path) -> None:
    folder = scorers.write_scorer(tmp_path / "s")
    before = Scorer(model=str(folder)).model_hash()
    config = folder / "fold-1" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert Scorer(model=str(folder)).model_hash() != before
