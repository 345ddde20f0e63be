"""One stage on a few rows, as in a notebook."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from tiny import Length, NumPairs, Pages, write_pages

import tuwen
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.errors import UsageError


def test_a_stage_by_name_on_plain_lists() -> None:
    found = tuwen.run("text.properties", {"text": ["two words", "图文"]})
    assert found["num_words"].to_pylist() == [2, 2]


def test_images_are_decoded() -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(data, "PNG")
    found = tuwen.run("image.properties", {"bytes": [data.getvalue(), b"no image", None]})
    assert found["width"].to_pylist() == [40, None, None]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UsageError, match="reads 'text'; the rows have caption"):
        tuwen.run(Length(), {"caption": ["x"]})


def test_a_stage_that_looks_at_a_corpus_needs_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pass it as `corpus=`"):
        tuwen.run(NumPairs(), {"document_id": ["x"]})
    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(4))
    recipe = Recipe("t", (NamedSource("pages", Pages(str(tmp_path / "pages"))),), ())
    tuwen.build(recipe, tmp_path / "corpus", quiet=True)
    corpus = tuwen.open(tmp_path / "corpus")
    found = tuwen.run(NumPairs(), corpus.table("documents", ["document_id"]), corpus)
    assert found["own_pairs"].to_pylist() == [3, 3, 3, 3]


def test_everything_public_exists() -> None:
    for name in tuwen.__all__:
        assert getattr(tuwen, name).__doc__
    with pytest.raises(AttributeError):
        _ = tuwen.nothing  # type: ignore[attr-defined]
