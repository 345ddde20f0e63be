"""X-Robots-Tag of images."""

from __future__ import annotations

import pyarrow as pa

from tuwen.stages.pair.opt_out import OptOut


def test_tags() -> None:
    tags = [None, "noai, noimageai", "gptbot: noindex, nofollow", "max-image-preview: large"]
    result = OptOut()(pa.record_batch({"image_x_robots_tag": pa.array(tags)})).to_pylist()
    assert [list(row.values()) for row in result] == [
        [None, None, None, None],
        [False, True, True, []],
        [False, False, False, ["gptbot"]],
        [False, False, False, []],
    ]
