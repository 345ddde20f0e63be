"""Places and distances on a page of eleven nodes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tuwen.stages.pair.position import Position


def position(image: int | None, text: int | None, source: str | None, region: str | None, nodes: int | None) -> Any:
    types = (pa.int32(), pa.int32(), pa.string(), pa.string(), pa.int32())
    arrays = [pa.array([value], kind) for value, kind in zip((image, text, source, region, nodes), types, strict=True)]
    return list(Position()(pa.record_batch(arrays, names=list(Position.reads))).to_pylist()[0].values())


def test_positions() -> None:
    assert position(5, None, "alt", "main", 11) == [0.5, 0, None, True]
    assert position(0, 1, "caption", "main", 11) == [0.0, 0, None, True]
    assert position(10, 7, "before", "navigation", 11) == [1.0, 3, True, False]
    assert position(2, 3, "after", None, 11) == [float(pa.scalar(0.2, pa.float32()).as_py()), 1, False, None]
    assert position(5, None, "page_title", "main", 11) == [0.5, None, None, True]


def test_pages_of_one_node_and_unknown_pages() -> None:
    assert position(0, None, "alt", "main", 1)[0] == 0.0
    assert position(0, None, "alt", "main", None)[0] is None
    assert position(None, None, None, None, None) == [None, None, None, None]
