"""Conformance of all release formats, and each read back with the tools its users have."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
import yaml
from PIL import Image

from tuwen import parts
from tuwen.corpus.tables import digest
from tuwen.errors import UsageError
from tuwen.releases.manifest import read_manifest
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify
from tuwen.releases.writers import PACKAGE, Writer

FORMATS = {
    (name, unit): parts.load(PACKAGE, name)
    for name in parts.names_in(PACKAGE)
    for unit in parts.load(PACKAGE, name).units
}
CASES = sorted(FORMATS)


@pytest.fixture(scope="session")
def releases(world, tmp_path_factory) -> dict[tuple[str, str], Path]:
    """A release of every format and unit."""
    folder = tmp_path_factory.mktemp("releases")
    for name, unit in CASES:
        write_release(world.corpus, world.ledgers[unit], folder / f"{name}-{unit}", name)
    return {(name, unit): folder / f"{name}-{unit}" for name, unit in CASES}


def expected_pairs(world) -> dict[str, dict]:
    """pair_id → row, for what a release of the pairs must hold: kept, and with an image that decodes."""
    broken = digest(world.rows["images"][-1]["bytes"])
    ids = {f"https://host.example/{n}": row["image_id"] for n, row in enumerate(world.rows["images"])}
    found = {}
    for row in world.rows["pairs"]:
        reference = row["image_ref"]
        image_id = reference.split(",")[1] if reference.startswith("data:") else ids[reference]
        if row["pair_id"] in world.kept("pair") and image_id != broken:
            found[row["pair_id"]] = {**row, "image_id": image_id}
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_writer_follows_the_protocol(case):
    writer = FORMATS[case]
    assert isinstance(writer, Writer)
    assert parts.load(PACKAGE, case[0], parts.parameters_of(writer)) == writer
    assert writer.configs()[0]["config_name"] == "default"


@pytest.mark.parametrize("case", CASES)
def test_a_release_verifies(case, releases):
    assert verify(releases[case]) == []


@pytest.mark.parametrize("case", CASES)
def test_small_shards_hold_the_same_samples(case, world, releases, tmp_path):
    write_release(world.corpus, world.ledgers[case[1]], tmp_path / "small", case[0], {"samples_per_shard": 3})
    assert verify(tmp_path / "small") == []
    small, large = read_manifest(tmp_path / "small"), read_manifest(releases[case])
    shards = [entry.num_samples for name, entry in small.files.items() if name.startswith("data/")]
    assert max(shards) <= 3 and len(shards) > 1
    assert sum(shards) == sum(entry.num_samples or 0 for name, entry in large.files.items() if name.startswith("data/"))


@pytest.mark.parametrize("case", CASES)
def test_the_hub_loads_what_the_card_says(case, releases, tmp_path):
    datasets = pytest.importorskip("datasets")
    front = yaml.safe_load((releases[case] / "README.md").read_text().split("---\n")[1])
    manifest = read_manifest(releases[case])
    for config in front["configs"]:
        loaded = datasets.load_dataset(
            str(releases[case]), config["config_name"], split="train", cache_dir=str(tmp_path / "cache")
        )
        folder = config["data_files"].split("/")[0]
        counts = [entry.num_samples for name, entry in manifest.files.items() if name.startswith(f"{folder}/")]
        assert loaded.num_rows == sum(counts)
        for column in ("image", "jpg"):
            if column in loaded.column_names and case[0] != "index":
                assert isinstance(loaded.features[column], datasets.Image)
                assert loaded[0][column].width > 0


@pytest.mark.parametrize("case", CASES)
def test_croissant_is_valid_and_gives_every_record(case, releases, tmp_path, monkeypatch):
    mlcroissant = pytest.importorskip("mlcroissant")
    from etils import epath  # comes with mlcroissant

    # Its cache goes by the path in the Croissant file alone: data/00000.tar of any release before would be taken.
    monkeypatch.setattr("mlcroissant._src.operation_graph.operations.extract.EXTRACT_PATH", epath.Path(tmp_path))
    dataset = mlcroissant.Dataset(str(releases[case] / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    manifest = read_manifest(releases[case])
    total = sum(entry.num_samples or 0 for entry in manifest.files.values())
    read = {
        record_set.id: sum(1 for _ in dataset.records(record_set.id)) for record_set in dataset.metadata.record_sets
    }
    assert sum(read.values()) == total * (2 if case[0] == "webdataset" else 1)


def test_webdataset_reads_back_the_bytes_and_the_texts(world, releases):
    shards = sorted(str(path) for path in (releases["webdataset", "pair"] / "data").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    originals = {row["image_id"]: row["bytes"] for row in world.rows["images"]}
    pairs = expected_pairs(world)
    assert len({frozenset(sample) for sample in samples}) == 1
    assert [sample["__key__"] for sample in samples] == sorted({row["image_id"] for row in pairs.values()})
    seen = set()
    for sample in samples:
        assert sample["jpg"] == originals[sample["__key__"]]
        described = json.loads(sample["json"])
        assert sample["txt"].decode() == described["texts"][0]["text"]
        assert described["image_width"] == Image.open(io.BytesIO(sample["jpg"])).width
        for text in described["texts"]:
            assert text["text"] == pairs[text["pair_id"]]["text"]
            assert text["image_noai"] == (pairs[text["pair_id"]]["position"] < 5)
            seen.add(text["pair_id"])
        best = [text["text_source"] for text in described["texts"]]
        assert best == sorted(best, key=["caption", "alt"].index)
    assert seen == set(pairs)


def test_every_image_of_a_webdataset_decodes(releases):
    shards = sorted(str(path) for path in (releases["webdataset", "pair"] / "data").glob("*.tar"))
    images = [
        image for image, _ in webdataset.WebDataset(shards, shardshuffle=False).decode("pilrgba").to_tuple("jpg", "txt")
    ]
    assert len(images) == read_manifest(releases["webdataset", "pair"]).counts["images"]
    assert all(isinstance(image, Image.Image) for image in images)


def test_real_extensions_on_request(world, tmp_path):
    write_release(world.corpus, world.ledgers["image"], tmp_path / "out", "webdataset", {"extension": "format"})
    assert verify(tmp_path / "out") == []
    samples = list(webdataset.WebDataset([str(tmp_path / "out/data/00000.tar")], shardshuffle=False))
    formats = {"jpeg": "jpg"}
    for sample in samples:
        format = json.loads(sample["json"])["image_format"]
        assert {key for key in sample if not key.startswith("__")} == {"json", formats.get(format, format)}
    assert len({json.loads(sample["json"])["image_format"] for sample in samples}) >= 6


def test_parquet_holds_every_pair_with_its_image(world, releases):
    rows = pq.read_table(releases["parquet", "pair"] / "data").to_pylist()
    originals = {row["image_id"]: row["bytes"] for row in world.rows["images"]}
    pairs = expected_pairs(world)
    assert {row["pair_id"] for row in rows} == set(pairs) and len(rows) == len(pairs)
    assert rows == sorted(rows, key=lambda row: (row["image_id"], row["pair_id"]))
    for row in rows:
        pair = pairs[row["pair_id"]]
        assert row["image"]["bytes"] == originals[pair["image_id"]]
        assert (row["text"], row["text_source"], row["image_id"]) == (
            pair["text"],
            pair["text_source"],
            pair["image_id"],
        )
        assert row["image_url"] == (None if pair["image_ref"].startswith("data:") else pair["image_ref"])


def test_sampling_weights_come_along_where_a_step_gives_them(world, tmp_path):
    rows = {"pair": "pair_id", "image": "image_id", "document": "document_id"}
    for unit, name in (("pair", "index"), ("image", "index"), ("document", "documents")):
        write_release(world.corpus, world.ledgers[unit], tmp_path / unit, name)
        found = pq.read_table(tmp_path / unit / "data/00000.parquet").to_pylist()
        assert {row[rows[unit]]: row["sampling_weight"] for row in found} == {
            row[rows[unit]]: int(row[rows[unit]][:4], 16) / 4096 for row in found
        }
    plain = replace(world.ledgers["pair"], is_weighted=False)
    write_release(world.corpus, plain, tmp_path / "plain", "index")
    assert "sampling_weight" not in pq.read_schema(tmp_path / "plain" / "data/00000.parquet").names


def test_row_groups_are_bounded(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet", {"group_bytes": 1_100_000})
    file = pq.ParquetFile(tmp_path / "out/data/00000.parquet")
    assert file.num_row_groups > 1
    for group in range(file.num_row_groups):
        assert sum(len(text or "") for text in file.read_row_group(group, ["text"])["text"].to_pylist()) <= 1_100_000


def test_an_index_has_everything_but_bytes(releases):
    index = pq.read_table(releases["index", "pair"] / "data")
    full = pq.read_table(releases["parquet", "pair"] / "data").drop_columns("image")
    assert index.equals(full)


def test_nothing_says_which_unit_brought_a_row(releases):
    for case in (("parquet", "pair"), ("index", "image"), ("documents", "document")):
        names = pq.read_schema(next((releases[case] / "data").glob("*"))).names
        assert not [
            name for name in names if name.endswith(("source", "source_unit", "_error")) and name != "text_source"
        ]


def test_documents_keep_the_order_of_the_page(world, releases):
    rows = {row["document_id"]: row for row in pq.read_table(releases["documents", "document"] / "data").to_pylist()}
    assert set(rows) == world.kept("document")
    ids = [row["image_id"] for row in world.rows["images"]]
    for document in world.rows["documents"]:
        if document["document_id"] not in rows:
            continue
        row = rows[document["document_id"]]
        shown = []
        removed = 0
        for node in document["nodes"]:
            if node["region"] != "main":
                continue
            image = ids[int(node["image_ref"].rsplit("/", 1)[1])] if node["kind"] == "image" else None
            if image == ids[-1]:  # the truncated one
                removed += 1
            elif image or node.get("text"):
                shown.append((node.get("text"), image))
        assert list(zip(row["texts"], row["images"], strict=True)) == shown
        assert row["num_removed_images"] == removed >= 1
        assert row["num_written_images"] == sum(bool(image) for _, image in shown)
        assert row["num_written_texts"] == len(shown) - row["num_written_images"]
        assert row["num_images"] == sum(node["kind"] == "image" for node in document["nodes"])


def test_documents_take_other_regions_on_request(world, releases, tmp_path):
    regions = {"regions": ["main", "footer"]}
    write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "documents", regions)
    assert verify(tmp_path / "out") == []
    counts = [
        pq.read_table(folder / "data")["num_written_images"].to_pylist()
        for folder in (tmp_path / "out", releases["documents", "document"])
    ]
    assert [a - b for a, b in zip(*counts, strict=True)] == [1] * len(counts[0])


def test_a_selection_of_images_decides_what_stays_in_documents(world, tmp_path):
    ledger = type(world.ledgers["document"])
    selection = world.ledgers["document"].selection
    narrowed = type(selection)(selection.name, selection.unit, images="pictures")
    documents = ledger(narrowed, world.ledgers["document"].path, world.ledgers["document"].steps)
    table = pq.read_table(world.ledgers["image"].path)
    first = table["id"].to_pylist()[1]
    steps = [None if key == first else 1 for key in table["id"].to_pylist()]
    one = table.set_column(1, "step", [steps])
    pq.write_table(one.cast(table.schema), tmp_path / "one.parquet")
    with pytest.raises(UsageError, match="pictures"):
        write_release(world.corpus, documents, tmp_path / "out", "documents")
    images = ledger(world.ledgers["image"].selection, tmp_path / "one.parquet")
    write_release(world.corpus, documents, tmp_path / "out", "documents", inner={"pictures": images})
    assert verify(tmp_path / "out") == []
    assert pq.read_table(tmp_path / "out/images")["image_id"].to_pylist() == [first]


def test_a_format_refuses_a_unit_it_cannot_hold(world, tmp_path):
    with pytest.raises(UsageError, match="formats for those: documents"):
        write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "webdataset")
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parqet")
    assert list(tmp_path.iterdir()) == []
