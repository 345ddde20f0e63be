"""Clusters of pairs: image and text must both be near."""

from __future__ import annotations

import pyarrow as pa
from surveyed import computed

from tuwen.stages.dedup.pairs import Pairs


def test_both_must_be_equal() -> None:
    images = pa.table({"image_id": ["i", "j", "k", "l"], "image_cluster": pa.array(["i", "i", "k", None])})
    rows = [
        ("p5", "i", "t1"),
        ("p4", "j", "t1"),  # the same picture, resized
        ("p3", "k", "t1"),  # another picture
        ("p2", "i", "t2"),  # another text
        ("p1", "l", "t1"),  # a picture that does not decode
        ("p0", None, "t1"),
        ("p6", "i", None),
    ]
    ids, image_ids, texts = (list(column) for column in zip(*rows, strict=True))
    pairs = pa.table({"pair_id": ids, "text_cluster": pa.array(texts, pa.string()), "image_id": pa.array(image_ids)})
    near = dict(zip(images["image_id"].to_pylist(), images["image_cluster"].to_pylist(), strict=True))
    batch = pa.record_batch(
        {
            "pair_id": ids,
            "text_cluster": pa.array(texts, pa.string()),
            "image.image_cluster": pa.array([near.get(image_id or "") for image_id in image_ids], pa.string()),
        }
    )
    found = computed(Pairs(), {"pairs": pairs, "images": images}, batch)
    assert [(row["pair_cluster"], row["pair_cluster_size"]) for row in found] == [
        ("p4", 2),
        ("p4", 2),
        ("p3", 1),
        ("p2", 1),
        (None, None),
        (None, None),
        (None, None),
    ]
