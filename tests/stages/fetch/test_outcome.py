"""One class per attempt: the error first, then what the image turned out to be, then whether it stands in for many."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tuwen.fetching.outcomes import OUTCOMES
from tuwen.stages.fetch.outcome import Outcome


@pytest.mark.parametrize(
    ("error", "image_id", "decode_error", "num_urls", "outcome"),
    [
        (None, "a", None, 1, "ok"),
        (None, "a", None, 19, "ok"),
        (None, "a", None, 20, "placeholder"),
        (None, "a", None, None, "ok"),
        (None, "a", "broken", 50, "undecodable"),
        (None, "a", "truncated", 1, "undecodable"),
        (None, "a", "vector", 1, "vector_image"),
        (None, "a", "empty", 1, "empty_body"),
        (None, "a", "too_many_pixels", 1, "too_many_pixels"),
        (None, "a", "missing", 1, "ok"),
        (None, None, None, None, "not_an_image"),
        ("http_404", None, None, None, "http_404"),
        ("truncated_body", "a", "truncated", 90, "truncated_body"),
    ],
)
def test_the_class(
    error: str | None, image_id: str | None, decode_error: str | None, num_urls: int | None, outcome: str
) -> None:
    stage = Outcome()
    columns = [
        pa.array([error], pa.string()),
        pa.array([image_id], pa.string()),
        pa.array([decode_error], pa.string()),
        pa.array([num_urls], pa.int32()),
    ]
    assert stage(pa.record_batch(columns, names=list(stage.reads)))["outcome"].to_pylist() == [outcome]
    assert outcome in OUTCOMES


def test_how_many_are_many_is_a_parameter() -> None:
    stage = Outcome(min_urls=2)
    columns = [pa.nulls(2, pa.string()), pa.array(["a", "b"]), pa.nulls(2, pa.string()), pa.array([1, 2], pa.int32())]
    assert stage(pa.record_batch(columns, names=list(stage.reads)))["outcome"].to_pylist() == ["ok", "placeholder"]
