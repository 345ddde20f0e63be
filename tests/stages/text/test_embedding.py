"""Vectors of texts, each distinct one encoded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tuwen
from tuwen.models.encoder import encoder
from tuwen.stages.text.embedding import Embedding

TINY = str(Path(__file__).parent.parent / "data" / "tiny-clip")


def test_distinct_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    kind: Any = type(encoder(TINY))
    texts_of = kind.texts
    monkeypatch.setattr(kind, "texts", lambda self, texts, size: asked.extend(texts) or texts_of(self, texts, size))
    texts = ["a red fox", None, "图文", "a red fox", "", None, "نافذة"]
    found = tuwen.run(Embedding(TINY), pa.record_batch({"text": pa.array(texts, pa.string())}))["text_embedding"]
    assert sorted(asked) == sorted(["a red fox", "图文", "", "نافذة"])
    expected = dict(zip(asked, texts_of(encoder(TINY), asked, 32).astype(np.float16).tolist(), strict=True))
    assert found.to_pylist() == [None if text is None else expected[text] for text in texts]
