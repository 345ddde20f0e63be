"""Releases of smaller images: what they hold, what they promise, and that `verify` holds them to it."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tuwen import parts
from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError, UsageError
from tuwen.fetching.reencode import reencode
from tuwen.fetching.settings import Reencode
from tuwen.releases.images import reencoded
from tuwen.releases.manifest import file_entry, read_manifest
from tuwen.releases.parameters import parameters_from
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify
from tuwen.releases.writers import PACKAGE
from tuwen.releases.writers.webdataset import read_samples
from tuwen.selections.ledger import SCHEMA as LEDGER
from tuwen.selections.ledger import FunnelStep

OPTIONS = {"short_side": 16, "quality": 80}
EXTENSIONS = {"jpeg": "jpg", "webp": "webp", "png": "png"}
CASES = [(name, unit, kind) for name in ("webdataset", "parquet") for unit in ("pair", "image") for kind in EXTENSIONS]


def parameters(kind: str = "jpeg") -> dict[str, Any]:
    return {"samples_per_shard": 5, "reencode": {**OPTIONS, "format": kind}}


@pytest.fixture(scope="module")
def releases(world, tmp_path_factory) -> dict[tuple[str, str, str], Path]:
    folder = tmp_path_factory.mktemp("smaller")
    for name, unit, kind in CASES:
        write_release(world.corpus, world.ledgers[unit], folder / f"{name}-{unit}-{kind}", name, parameters(kind))
    return {case: folder / "-".join(case) for case in CASES}


def released(folder: Path) -> list[tuple[str, str, bytes, dict[str, Any]]]:
    """(image_id, extension, bytes, columns) of every sample."""
    found = []
    for shard in sorted((folder / "data").iterdir()):
        if shard.suffix == ".tar":
            for key, members in read_samples(shard):
                (extension,) = members.keys() - {"json", "txt"}
                found.append((key, extension, members[extension], json.loads(members["json"])))
        else:
            for row in pq.read_table(shard).to_pylist():
                key, _, extension = row["image"]["path"].partition(".")
                assert key == row["image_id"]
                found.append((key, extension, row["image"]["bytes"], row))
    return found


@pytest.mark.parametrize("case", CASES)
def test_images_are_smaller_and_everything_else_stays(case, world, releases, tmp_path):
    name, unit, kind = case
    originals = {row["image_id"]: row["bytes"] for row in world.rows["images"]}
    samples = released(releases[case])
    for key, extension, data, columns in samples:
        assert data == reencode(originals[key], Reencode(**OPTIONS, format=kind))
        assert columns["sha256"] == hashlib.sha256(data).hexdigest()
        assert columns["image_width"] == Image.open(io.BytesIO(originals[key])).width
        image = Image.open(io.BytesIO(data))
        assert (extension, image.format, min(image.size)) == (EXTENSIONS[kind], kind.upper(), 16)
    write_release(world.corpus, world.ledgers[unit], tmp_path / "plain", name)
    for (key, _, _, columns), (plain_key, _, _, plain) in zip(samples, released(tmp_path / "plain"), strict=True):
        del columns["sha256"]
        columns.pop("image", None), plain.pop("image", None)
        assert (key, columns) == (plain_key, plain)


@pytest.mark.parametrize("case", CASES)
def test_it_verifies_and_comes_out_the_same(case, world, releases, tmp_path):
    assert verify(releases[case]) == []
    write_release(world.corpus, world.ledgers[case[1]], tmp_path / "again", case[0], parameters(case[2]))
    assert (tmp_path / "again/manifest.json").read_bytes() == (releases[case] / "manifest.json").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_the_hub_loads_it(case, releases, tmp_path):
    datasets = pytest.importorskip("datasets")
    name, _, kind = case
    loaded = datasets.load_dataset(str(releases[case]), "default", split="train", cache_dir=str(tmp_path))
    column = "image" if name == "parquet" else EXTENSIONS[kind]
    assert min(loaded[0][column].size) == 16
    row = loaded[0] if name == "parquet" else loaded[0]["json"]
    assert len(row["sha256"]) == 64


@pytest.mark.parametrize("case", [case for case in CASES if case[1] == "pair"])
def test_what_describes_it_says_so(case, releases, tmp_path, monkeypatch):
    folder = releases[case]
    said = f"re-encoded ({case[2]}" + ("" if case[2] == "png" else ", quality 80") + ", short side at most 16 pixels"
    for name in ("README.md", "datasheet.md", "croissant.json"):
        text = (folder / name).read_text()
        assert said in text, name
        assert "Image bytes and texts are those of the source" not in text
    assert "holds the original bytes" not in (folder / "README.md").read_text()
    assert read_manifest(folder).writer["parameters"]["reencode"] == {**OPTIONS, "format": case[2]}
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert case[0] == "parquet" or front["dataset_info"]["features"][0]["name"] == EXTENSIONS[case[2]]
    mlcroissant = pytest.importorskip("mlcroissant")
    from etils import epath  # comes with mlcroissant

    monkeypatch.setattr("mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", epath.Path(tmp_path))
    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    counts = {each.id: sum(1 for _ in dataset.records(each.id)) for each in dataset.metadata.record_sets}
    assert set(counts.values()) == {len(released(folder))}


def test_original_bytes_are_not_called_reencoded(world, tmp_path):
    for name in ("webdataset", "parquet"):
        write_release(world.corpus, world.ledgers["pair"], tmp_path / name, name)
        for file in ("README.md", "datasheet.md", "croissant.json"):
            text = (tmp_path / name / file).read_text()
            assert "re-encoded" not in text and "`sha256`" not in text
        assert read_manifest(tmp_path / name).writer["parameters"]["reencode"] is None


def reseal(folder: Path, **writer: Any) -> list[str]:
    """Make the manifest vouch for whatever is there now; what `verify` says to that."""
    manifest = read_manifest(folder)
    files = {name: file_entry(folder / name, entry.num_samples) for name, entry in manifest.files.items()}
    changed = {**manifest.writer, "parameters": {**manifest.writer["parameters"], **writer}}
    (folder / "manifest.json").write_bytes(replace(manifest, files=files, writer=changed).to_bytes())
    return [problem.what for problem in verify(folder)]


def rewrite(folder: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    """Change the members of the first sample of a WebDataset: extension → bytes."""
    shard = folder / "data/00000.tar"
    samples = list(read_samples(shard))
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (key, members) in enumerate(samples):
            for extension, data in (change(dict(members)) if number == 0 else members).items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def with_image(data: bytes, members: dict[str, bytes]) -> dict[str, bytes]:
    """Another image under a `sha256` that fits."""
    sample = {**json.loads(members["json"]), "sha256": hashlib.sha256(data).hexdigest()}
    return {**members, "jpg": data, "json": json.dumps(sample).encode()}


def picture(side: int, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side + 4), "red").save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda members: {**members, "jpg": picture(16, "JPEG")}, "is not that of the bytes"),
        (lambda members: with_image(picture(17, "JPEG"), members), "is not as re-encoding makes it"),
        (lambda members: with_image(picture(16, "PNG"), members), "is not as re-encoding makes it"),
        (lambda members: with_image(picture(16, "JPEG")[:-40], members), "cannot be decoded"),
        (lambda members: {("png" if name == "jpg" else name): data for name, data in members.items()}, "extension"),
        (
            lambda members: {
                **members,
                "json": json.dumps(
                    {name: value for name, value in json.loads(members["json"]).items() if name != "sha256"}
                ).encode(),
            },
            "is not that of the bytes",
        ),
    ],
)
def test_verify_finds_what_breaks_the_promise(releases, tmp_path, change, what):
    folder = Path(shutil.copytree(releases["webdataset", "pair", "jpeg"], tmp_path / "copy"))
    rewrite(folder, lambda members: members)
    assert reseal(folder) == []
    rewrite(folder, change)
    assert any(what in problem for problem in reseal(folder))


@pytest.mark.parametrize("column", ["sha256", "image"])
def test_verify_finds_what_breaks_the_promise_of_parquet(releases, tmp_path, column):
    folder = Path(shutil.copytree(releases["parquet", "pair", "jpeg"], tmp_path / "copy"))
    shard = folder / "data/00000.parquet"
    table = pq.read_table(shard)
    place = table.schema.names.index(column)
    other = {"sha256": "0" * 64, "image": {"bytes": picture(16, "JPEG"), "path": "x.jpg"}}[column]
    values = [other, *table[column].to_pylist()[1:]]
    changed = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    pq.write_table(changed, shard, write_page_checksum=True)
    assert any("is not that of the bytes" in problem for problem in reseal(folder))


def test_originals_cannot_pass_as_reencoded_nor_the_other_way_round(world, releases, tmp_path):
    smaller = Path(shutil.copytree(releases["webdataset", "pair", "jpeg"], tmp_path / "smaller"))
    assert "image_id is not the SHA-256 prefix of the bytes" in reseal(smaller, reencode=None)
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "plain", "webdataset")
    problems = reseal(tmp_path / "plain", reencode={**OPTIONS, "format": "jpeg"})
    assert any("is not that of the bytes" in problem for problem in problems)


def test_an_image_that_cannot_be_read_stops_the_release_unless_the_stage_has_said_so(world, tmp_path):
    broken = world.rows["images"][-1]
    with pytest.raises(TuwenError, match=f"(?s){broken['image_id']}.*decode_error is null"):
        reencoded(broken["image_id"], broken["bytes"], Reencode())
    corpus = Corpus.create(tmp_path / "corpus")  # without image.properties, so that nothing is left out
    from tuwen.corpus.tables import TABLES
    from tuwen.corpus.units import append_rows

    rows = [{**row, "source": "web", "source_unit": "unit"} for row in world.rows["images"]]
    append_rows(corpus, "images", [pa.RecordBatch.from_pylist(rows, schema=TABLES["images"].schema)])
    ids = sorted(row["image_id"] for row in rows)
    pq.write_table(pa.Table.from_pylist([{"id": key} for key in ids], schema=LEDGER), tmp_path / "ledger.parquet")
    selection = world.ledgers["image"].selection
    funnel = [FunnelStep(1, "all", len(ids), 0, len(ids))]
    ledger = replace(world.ledgers["image"], selection=selection, path=tmp_path / "ledger.parquet", steps=funnel)
    for name in ("webdataset", "parquet"):
        with pytest.raises(TuwenError, match=broken["image_id"]):
            write_release(corpus, ledger, tmp_path / "out", name, parameters())
        assert not (tmp_path / "out").exists()


def test_options_from_the_command_line():
    given = parameters_from(["samples_per_shard=100", "reencode.short_side=256", "reencode.format=webp"])
    assert given == {"samples_per_shard": 100, "reencode": {"short_side": 256, "format": "webp"}}
    assert parts.load(PACKAGE, "parquet", given).reencode == Reencode(short_side=256, format="webp")
    assert parameters_from(["reencode={short_side: 9}", "reencode.quality=7"])["reencode"] == {
        "short_side": 9,
        "quality": 7,
    }
    for words in (["x"], ["a=1", "a.b=2"], ["a=["]):
        with pytest.raises(UsageError, match="--set"):
            parameters_from(words)
    for wrong in ("reencode.short=1", "reencode.short_side=0", "reencode.quality=101", "reencode.format=gif"):
        with pytest.raises(UsageError, match="reencode"):
            parts.load(PACKAGE, "webdataset", parameters_from([wrong]))
