"""Clusters of images, by hand: near, far, chained, blank, undecodable."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from surveyed import computed

from tuwen.stages.dedup.images import Images
from tuwen.stages.image.perceptual_hash import perceptual_hashes

BASE = 0x0123456789ABCDEF


def clusters(hashes: dict[str, int | None], distance: int = 6) -> dict[str, tuple[str | None, int | None]]:
    table = pa.table({"image_id": list(hashes), "perceptual_hash": pa.array(list(hashes.values()), pa.uint64())})
    batch = (
        table.select(["image_id"]).to_batches()[0]
        if hashes
        else pa.record_batch({"image_id": pa.array([], pa.string())})
    )
    rows = computed(Images(distance), {"images": table}, batch)
    found = [(row["image_cluster"], row["image_cluster_size"]) for row in rows]
    return dict(zip(hashes, found, strict=True))


def test_within_the_distance_and_beyond() -> None:
    found = clusters({"c": BASE, "b": BASE ^ 0x3F, "a": BASE ^ 0xFE << 32, "d": None})
    assert found == {"c": ("b", 2), "b": ("b", 2), "a": ("a", 1), "d": (None, None)}
    assert clusters({"c": BASE, "b": BASE ^ 1}, distance=0) == {"c": ("c", 1), "b": ("b", 1)}
    assert clusters({"c": BASE, "b": BASE}, distance=0) == {"c": ("b", 2), "b": ("b", 2)}


def test_linked_images_are_one_cluster() -> None:
    found = clusters({"a": BASE, "b": BASE ^ 0x1F, "c": BASE ^ 0x1F ^ 0x1F00})
    assert set(found.values()) == {("a", 3)}


def test_a_dense_cluster_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each within four bits of one: no pair is compared again once it is linked."""
    chance = np.random.default_rng(0)
    values = {BASE ^ sum(1 << int(bit) for bit in chance.choice(64, 4, replace=False)) for _ in range(3_000)}
    numbers, count = [], np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda values: numbers.append(values.size) or count(values))
    found = clusters({f"{number:04}": value for number, value in enumerate(sorted(values))})
    assert set(found.values()) == {("0000", len(values))}
    assert sum(numbers) < 100 * len(values)


def test_blank_images_are_no_cluster() -> None:
    flat = [Image.new("L", (64, 64), level) for level in (0, 90, 255)]
    slope = [Image.linear_gradient("L"), Image.linear_gradient("L").resize((300, 40))]
    values = perceptual_hashes([*flat, *slope]).tolist()
    assert len(set(values)) < len(values)
    found = clusters({f"i{number}": value for number, value in enumerate(values)})
    assert found == {name: (name, 1) for name in found}


def test_a_photo_scaled_and_gray_is_near() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((600, 450), Image.Resampling.BICUBIC)
    other = Image.fromarray(coarse[::-1].copy()).resize((600, 450), Image.Resampling.BICUBIC)
    grays = [image.convert("L") for image in (photo, photo.resize((150, 112)), photo.convert("L"), other)]
    found = clusters(dict(zip("abcd", perceptual_hashes(grays).tolist(), strict=True)))
    assert found == {"a": ("a", 3), "b": ("a", 3), "c": ("a", 3), "d": ("d", 1)}


def test_no_images() -> None:
    assert clusters({}) == {}


@pytest.mark.parametrize("distance", [-1, 17])
def test_a_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"distance is {distance}; it must be 0 to 16"):
        Images(distance)
