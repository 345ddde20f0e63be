"""Releases whose images have boxes blurred, by both writers, and what they say of it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tuwen.engine.join import join
from tuwen.errors import TuwenError, UsageError
from tuwen.fetching.reencode import reencode
from tuwen.fetching.settings import Reencode
from tuwen.releases.blur import blurred
from tuwen.releases.images import reencoded
from tuwen.releases.manifest import read_manifest
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify
from tuwen.releases.writers.webdataset import read_samples

OPTIONS = {"short_side": 16, "format": "png"}
BOX = [0.25, 0.25, 0.75, 1.0]
FILE = pa.schema([("image_id", pa.string()), ("face_bboxes", pa.list_(pa.list_(pa.float64())))])


def boxes_of(image_id: str) -> list[list[float]] | None:
    """A face, no face, not checked: by the id."""
    return ([BOX], [], None)[int(image_id[:8], 16) % 3]


@pytest.fixture(scope="module")
def faces(make_world: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    world = make_world(tmp_path_factory.mktemp("faces"))
    rows = [{"image_id": row["image_id"], "face_bboxes": boxes_of(row["image_id"])} for row in world.rows["images"]]
    file = tmp_path_factory.mktemp("detector") / "faces.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=FILE), file)
    join(world.corpus, file, "image_id")
    return world


def images_of(folder: Path) -> dict[str, tuple[bytes, str]]:
    """image_id → bytes and their promised digest."""
    found = {}
    for shard in sorted((folder / "data").iterdir()):
        if shard.suffix == ".tar":
            for key, members in read_samples(shard):
                found[key] = (members["png"], json.loads(members["json"])["sha256"])
        else:
            for row in pq.read_table(shard, columns=["image_id", "image", "sha256"]).to_pylist():
                found[row["image_id"]] = (row["image"]["bytes"], row["sha256"])
    return found


@pytest.mark.parametrize("unit", ["pair", "image"])
@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_boxes_are_blurred_and_the_rest_is_as_without(faces: Any, tmp_path: Path, format: str, unit: str) -> None:
    given = {"reencode": OPTIONS, "blur": "face_bboxes"}
    for name in ("one", "two"):
        write_release(faces.corpus, faces.ledgers[unit], tmp_path / name, format, given)
    assert verify(tmp_path / "one") == []
    assert (tmp_path / "one/manifest.json").read_bytes() == (tmp_path / "two/manifest.json").read_bytes()
    originals = {row["image_id"]: row["bytes"] for row in faces.rows["images"]}
    found = images_of(tmp_path / "one")
    changed = 0
    for key, (data, sha256) in found.items():
        plain = reencode(originals[key], Reencode(**OPTIONS))
        assert data == (blurred(originals[key], [tuple(BOX)], Reencode(**OPTIONS)) if boxes_of(key) else plain)
        changed += data != plain  # one of the images has a single colour
        assert hashlib.sha256(data).hexdigest() == sha256
    num_blurred, num_unchecked = (
        sum(bool(test(boxes_of(key))) for key in found) for test in (lambda b: b, lambda b: b is None)
    )
    assert num_blurred and num_unchecked and num_blurred + num_unchecked < len(found)
    assert changed >= num_blurred - 1 > 0
    counts = read_manifest(tmp_path / "one").counts
    assert (counts["blurred_images"], counts["unchecked_images"]) == (num_blurred, num_unchecked)
    for name in ("README.md", "datasheet.md", "croissant.json"):
        text = (tmp_path / "one" / name).read_text().replace("\\", "")
        assert f"face_bboxes were blurred, in {num_blurred} image" in text, name
        assert "were not checked" in text, name


def test_wrong_columns_and_boxes(faces: Any, tmp_path: Path) -> None:
    ledger = faces.ledgers["image"]
    for format in ("webdataset", "parquet"):
        for blur, what in (("no_such", "tuwen join"), ("width", "list of boxes")):
            with pytest.raises(UsageError, match=what):
                write_release(faces.corpus, ledger, tmp_path / "out", format, {"reencode": OPTIONS, "blur": blur})
        with pytest.raises(UsageError, match=r"reencode\.format"):
            write_release(faces.corpus, ledger, tmp_path / "out", format, {"blur": "face_bboxes"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "box", [[10, 20, 46, 44], [0.5, 0, 0.2, 1], [0, 0, 1], [0, 0, 1, None], None, [0, 0, 1, float("nan")]]
)
def test_boxes_that_would_blur_nothing(box: Any) -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(data, "PNG")
    with pytest.raises(TuwenError, match="shares of the upright"):
        reencoded("id", data.getvalue(), Reencode(), [box])
