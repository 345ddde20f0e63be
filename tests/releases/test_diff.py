"""What two releases or selections differ in: against rows that were changed by hand, and on real releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe
from tuwen.errors import TuwenError, UsageError
from tuwen.releases.diff import diff

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"


@pytest.fixture(scope="module")
def built(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diff")
    mapping = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    mapping["sources"] = [{"warc": {"paths": [str(demo_crawl)]}}]
    mapping["selections"]["short"] = {
        "unit": "pair",
        "steps": [{"within": "strong"}, {"rule": "num_characters <= 20"}],
    }
    build(Recipe.from_mapping(mapping), folder / "corpus", workers=1, quiet=True)
    corpus = Corpus.open(folder / "corpus")
    for name, selection, format in (
        ("index", "strong", "index"),
        ("short", "short", "index"),
        ("tar", "strong", "webdataset"),
        ("parquet", "strong", "parquet"),
        ("documents", "interleaved", "documents"),
        ("text", "interleaved", "text"),
        ("pictures", "figures", "index"),
        ("ids", "strong", "ids"),
    ):
        tuwen.release(corpus, selection, folder / name, format)
    return folder


def rows(release: Path) -> list[dict[str, Any]]:
    return pq.read_table(release / "data").to_pylist()


def test_rows_columns_and_distributions_are_those_of_brute_force(built: Path) -> None:
    a, b = rows(built / "index"), rows(built / "short")
    found = diff(built / "index", built / "short")
    one, two = {row["pair_id"] for row in a}, {row["pair_id"] for row in b}
    assert (found.rows.added, found.rows.removed, found.rows.kept) == (len(two - one), len(one - two), len(one & two))
    assert found.rows.removed_examples == tuple(sorted(one - two)[:20]) and found.rows.added_examples == ()
    assert found.images.removed == len({row["image_id"] for row in a} - {row["image_id"] for row in b})
    assert (found.num_changed, found.added_columns, found.removed_columns) == (0, (), ())
    for name in ("language", "text_source"):
        (shifted,) = (each for each in found.distributions if each.name == name)
        counts = [[sum(row[name] == value for row in side) for side in (a, b)] for value in {r[name] for r in a + b}]
        expected = sum(abs(x / len(a) - y / len(b)) for x, y in counts) / 2
        assert shifted.distance == pytest.approx(expected, abs=1e-8)
        assert all([shift.before, shift.after] in counts for shift in shifted.shifts)
    assert {"selection.name", "selection.steps[2].rule.where"} <= {setting.name for setting in found.settings}


@pytest.mark.parametrize("other", ["tar", "parquet"])
def test_formats_of_one_selection_hold_equal_rows(built: Path, other: str) -> None:
    found = diff(built / "index", built / other)
    assert not (found.rows.added or found.rows.removed or found.num_changed or found.removed_columns)
    assert found.added_columns == ()
    assert all(setting.name.startswith("writer.") for setting in found.settings) and not found.is_empty


def test_a_selection_compares_with_its_release_and_with_another(built: Path) -> None:
    assert diff(f"{built / 'corpus'}:strong", built / "index").is_empty
    found = diff(f"{built / 'corpus'}:strong", f"{built / 'corpus'}:short")
    assert found.rows == diff(built / "index", built / "short").rows


def test_changed_values_are_counted_by_column(built: Path, tmp_path: Path) -> None:
    """A shard that was edited; diff reads what is there, `verify` is there to complain."""
    import shutil

    shutil.copytree(built / "index", tmp_path / "edited")
    shard = tmp_path / "edited/data/00000.parquet"
    table = pq.read_table(shard)
    texts = table["text"].to_pylist()
    languages = table["language"].to_pylist()
    texts[3], texts[5], languages[5] = "changed", None, "xx"
    for name, values in (("text", texts), ("language", languages)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))
    table = table.append_column("extra", pa.array([1] * table.num_rows)).drop_columns(["region"])
    pq.write_table(table, shard)
    found = diff(built / "index", tmp_path / "edited")
    ids = table["pair_id"].to_pylist()
    assert found.num_changed == 2 and set(found.changed_examples) == {ids[3], ids[5]}
    assert found.changed_columns == {"text": 2, "language": 1}
    assert (found.added_columns, found.removed_columns) == (("extra",), ("region",))


def test_documents_count_their_images(built: Path) -> None:
    found = diff(built / "documents", built / "documents")
    images = pq.read_table(built / "documents/images", columns=["image_id"]).num_rows
    assert found.is_empty and found.before.num_images == images > 0
    assert found.distributions and not any(each.distance for each in found.distributions)
    shown = diff(built / "documents", built / "text")
    assert shown.rows.kept == found.rows.kept and "tokens" in " ".join(shown.added_columns)


def test_lists_of_ids_compare_by_their_ids(built: Path) -> None:
    found = diff(built / "index", built / "ids")
    assert found.rows.kept == found.before.num_rows == found.after.num_rows


def test_what_cannot_be_compared_is_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"by pair_id.*by image_id"):
        diff(built / "index", built / "pictures")
    with pytest.raises(UsageError, match=r"name one of its selections.*strong"):
        diff(built / "corpus", built / "index")
    with pytest.raises(UsageError, match="no selection 'storng'; did you mean 'strong'"):
        diff(f"{built / 'corpus'}:storng", built / "index")
    with pytest.raises(UsageError, match="neither a release nor"):
        diff(tmp_path, built / "index")


def test_a_manifest_that_leads_out_of_its_folder_is_not_followed(built: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from tuwen.releases.manifest import MANIFEST, read_manifest

    manifest = read_manifest(built / "index")
    files = {f"data/../../{name}": file for name, file in manifest.files.items()}
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / MANIFEST).write_bytes(replace(manifest, files=files).to_bytes())
    with pytest.raises(TuwenError, match="outside of the release"):
        diff(tmp_path / "evil", built / "index")


def test_the_command_prints_a_table_and_json(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(built / "index"), str(built / "short")]) == 0
    out = capsys.readouterr().out
    assert "text_length" in out and "removed" in out
    assert main(["diff", str(built / "index"), str(built / "short"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(diff(built / "index", built / "short").to_json()))
    assert main(["diff", str(built / "index"), str(built / "index")]) == 0
    assert "No difference" in capsys.readouterr().out
