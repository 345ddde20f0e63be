"""Corpora that were broken for real: what the deep look says of each, and that repair loses nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from purged import contents, files_with, image, image_id, make, update, write_unit

import tuwen
from tuwen.cli import main
from tuwen.corpus.columns import ColumnWriter, TableState
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import JOURNAL as INDEX_JOURNAL
from tuwen.corpus.indexes import build_index, index_states
from tuwen.corpus.rewriting import JOURNAL as PURGE_JOURNAL
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.tombstones import Stone
from tuwen.corpus.units import append_rows
from tuwen.engine import purge as purging
from tuwen.engine.checkup import examine
from tuwen.engine.join import drop_join
from tuwen.engine.purge import purge
from tuwen.engine.repair import repair
from tuwen.errors import TuwenError
from tuwen.releases.takedown import take_down


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repair")
    corpus = make(folder)
    with corpus.writing():
        build_index(corpus, "pairs", "text")
    lines = ["pair_id,score", *(f"{key},1" for key in corpus.table("pairs", ["pair_id"])["pair_id"].to_pylist())]
    (folder / "scores.csv").write_text("\n".join(lines))
    tuwen.join(corpus, folder / "scores.csv", on="pair_id", allow_code=True, workers=1, quiet=True)
    tuwen.judge(corpus, "all")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "it")


def copied(made: Path, folder: Path) -> Path:
    shutil.copytree(made, folder)
    mapping = json.loads((folder / "corpus/recipe.json").read_text())
    mapping["sources"] = [{"tiny:Pages": {"folder": str(folder / "pages")}}]
    (folder / "corpus/recipe.json").write_text(json.dumps(mapping))
    return folder


def kinds(path: Path) -> list[str]:
    return sorted(finding.kind for finding in examine(path) if finding.kind not in ("index_drift", "old_ledger"))


def column_file(corpus: Path, stage: str) -> Path:
    return next((corpus / "pairs.lance/data").glob(f"{stage}-*.lance"))


def base_file(corpus: Path, table: str) -> Path:
    (fragment, *_) = TableState.read(Corpus.open(corpus), table).fragments
    return corpus / f"{table}.lance/data" / fragment.base


def flipped(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def test_a_whole_corpus_has_no_findings_and_looking_changes_nothing(folder: Path) -> None:
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert kinds(folder / "corpus") == []
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == files


def orphan(corpus: Path) -> None:
    schema = pa.schema([("length", pa.int32())])
    writer = ColumnWriter(corpus, "pairs", "tiny:Length", schema)
    writer.write(pa.RecordBatch.from_pylist([{"length": 1}], schema=schema))
    writer.close({"stage": "x"})
    shutil.copy(base_file(corpus, "images"), corpus / "images.lance/data/0123456789abcdef01234567.lance")
    (corpus / "pairs.lance/data/77aa.partial").write_bytes(b"half")


def of_lance(corpus: Path) -> None:
    """What Lance was writing when it was killed."""
    (corpus / "pairs.lance/data/.tmpk46BZI").write_bytes(b"some")


def leftovers(corpus: Path) -> None:
    (corpus / "tmp").mkdir(exist_ok=True)
    (corpus / "tmp/duckdb-99999999-aa").mkdir()
    (corpus / "tmp/duckdb-99999999-aa/spill").write_bytes(b"x" * 100)
    (corpus / ".recipe.json.12345").write_text("{")


def half_a_unit(corpus: Path) -> None:
    opened = Corpus.open(corpus)
    journal = {"source": "tiny:Pages", "source_unit": "z", "tables": opened.version()}
    (corpus / "unit-journal.json").write_text(json.dumps(journal))
    row = {"image_id": digest(b"x"), "bytes": b"x", "source": "tiny:Pages", "source_unit": "z"}
    append_rows(opened, "images", [pa.RecordBatch.from_pylist([row], schema=TABLES["images"].schema)])


def lost_column(corpus: Path) -> None:
    column_file(corpus, "tiny:Length").unlink()


def rotten_column(corpus: Path) -> None:
    path = column_file(corpus, "tiny:PageLength")
    data = path.read_bytes()
    rotten = len(data) * 2 // 5  # a single byte may be padding
    path.write_bytes(bytes(byte ^ 0xFF for byte in data[:rotten]) + data[rotten:])


def lost_index(corpus: Path) -> None:
    for path in (corpus / "pairs.lance/_indices").iterdir():
        shutil.rmtree(path)


def cut_ledger(corpus: Path) -> None:
    path = corpus / "ledgers/all.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def undescribed_ledger(corpus: Path) -> None:
    (corpus / "ledgers/all.json").unlink()


def impossible_version(corpus: Path) -> None:
    described = json.loads((corpus / "versions/000001.json").read_text())
    described["tables"]["pairs"] = 0
    (corpus / "versions/000001.json").write_text(json.dumps(described))


def loose_tag(corpus: Path) -> None:
    Corpus.open(corpus).dataset("pairs").tags.create("v000099", 1)


def loose_join(corpus: Path) -> None:
    path = next((corpus / "joins").glob("*.arrow"))
    shutil.copy(path, corpus / "joins/old-0123456789abcdef.arrow")


def damaged_cache(corpus: Path) -> None:
    (corpus / "base-digests.json").write_text("{")


def damaged_unit_journal(corpus: Path) -> None:
    (corpus / "unit-journal.json").write_bytes(b"")


SAFE: dict[Callable[[Path], None], list[str]] = {
    orphan: ["orphan_files", "orphan_files"],
    of_lance: ["orphan_files"],
    leftovers: ["leftovers"],
    half_a_unit: ["unfinished", "unsealed_rows"],
    lost_column: ["missing_file"],
    rotten_column: ["damaged_file"],
    lost_index: ["damaged_index"],
    cut_ledger: ["damaged_ledger"],
    undescribed_ledger: ["damaged_ledger"],
    impossible_version: ["damaged_version"],
    loose_tag: ["loose_tags"],
    loose_join: ["orphan_files"],
    damaged_cache: ["damaged_json"],
    damaged_unit_journal: ["damaged_json"],
}


@pytest.mark.parametrize("damage", SAFE, ids=lambda each: each.__name__)
def test_what_is_safe_is_told_first_and_then_done(folder: Path, damage: Callable[[Path], None]) -> None:
    path = folder / "corpus"
    expected = dict(contents(Corpus.open(path)))
    damage(path)
    files = sorted(each for each in path.rglob("*") if each.name != ".lock")
    assert kinds(path) == SAFE[damage]
    assert sorted(each for each in path.rglob("*") if each.name != ".lock") == files, "looking is not doing"
    repaired = repair(path)
    assert repaired.done and not [finding for finding in repaired.left if finding.is_harm or finding.action]
    update(folder)
    assert dict(contents(Corpus.open(path))) == expected
    assert kinds(path) == [] and tuwen.judge(Corpus.open(path), "all").num_kept


def test_a_damaged_journal_of_a_unit_that_is_not_sealed_is_told_and_stays(folder: Path) -> None:
    path = folder / "corpus"
    half_a_unit(path)
    damaged_unit_journal(path)
    (found,) = (each for each in repair(path).left if each.place == "unit-journal.json")
    assert found.kind == "damaged_json" and found.action is None
    with pytest.raises(TuwenError, match="tuwen repair"):
        update(folder)


@pytest.mark.parametrize("table", ["pairs", "units"])
def test_a_table_from_an_older_copy_is_told_and_nothing_is_built_upon_it(folder: Path, table: str) -> None:
    """Its lost units are sealed: a build would say that there is nothing to do."""
    path = folder / "corpus"
    shutil.copytree(path / f"{table}.lance", folder / "older.lance")
    write_unit(folder / "pages", "d", range(14, 16))
    update(folder)
    expected = dict(contents(Corpus.open(path)))
    (path / f"{table}.lance").rename(folder / "newer.lance")
    shutil.copytree(folder / "older.lance", path / f"{table}.lance")
    files = sorted(each for each in path.rglob("*") if each.name != ".lock")
    assert [each.place for each in repair(path).left if each.kind == "older_table"] == [f"{table}.lance"]
    assert sorted(each for each in path.rglob("*") if each.name != ".lock") == files
    with pytest.raises(TuwenError, match="older"):
        update(folder)
    shutil.rmtree(path / f"{table}.lance")
    (folder / "newer.lance").rename(path / f"{table}.lance")
    update(folder)
    assert dict(contents(Corpus.open(path))) == expected and kinds(path) == []


def test_a_damaged_journal_of_an_index_that_was_being_made(folder: Path) -> None:
    """Repair removes it, with the files that nothing names."""
    path = folder / "corpus"
    (path / "pairs.lance/_indices/half").mkdir()
    (path / INDEX_JOURNAL.name).write_bytes(b"{")
    assert kinds(path) == ["damaged_json", "orphan_files"]
    assert not repair(path).left and not (path / "pairs.lance/_indices/half").exists()
    assert [(state.num_rows, state.num_missing) for state in index_states(Corpus.open(path))] == [(84, 0)]


@pytest.fixture(scope="module")
def purged(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rows of the corpus after an undisturbed purge and the next build."""
    folder = copied(made, tmp_path_factory.mktemp("purged") / "it")
    corpus = Corpus.open(folder / "corpus")
    take_down(corpus, [Stone("image", image_id(3))], "asked")
    purge(corpus, allow_code=True)
    update(folder)
    return dict(contents(corpus))


@pytest.mark.parametrize("step", ["replace_fragments", "_clean"])
def test_a_damaged_journal_of_a_purge(
    folder: Path,
    purged: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: str,
) -> None:
    """Cut off when one table of three is rewritten, or when earlier versions are not removed yet: the purge that repair
    asks for removes both."""
    path = folder / "corpus"
    corpus = Corpus.open(path)
    take_down(corpus, [Stone("image", image_id(3))], "asked")
    with monkeypatch.context() as patched:
        patched.setattr(f"tuwen.engine.purge.{step}", killed_after(1 if step == "replace_fragments" else 0, step))
        with pytest.raises(KeyboardInterrupt):
            purge(corpus, allow_code=True)
    (path / PURGE_JOURNAL.name).write_bytes(b"{")
    with pytest.raises(TuwenError, match=r"purge-journal\.json is damaged; tuwen repair"):
        update(folder)
    assert main(["purge", str(path), "--allow-code", "--dry-run"]) == 1
    assert "tuwen repair" in capsys.readouterr().err
    (found,) = (each for each in examine(path) if each.place == PURGE_JOURNAL.name)
    assert found.kind == "damaged_json" and found.action == "purge_anew" and "tuwen purge" in found.advice
    assert files_with(path, image(3))
    (left,) = (each for each in repair(path).left if each.place == PURGE_JOURNAL.name)
    assert left.kind == "unfinished" and "tuwen purge goes on" in left.advice
    assert main(["purge", str(path), "--allow-code", "--yes"]) == 0
    assert not files_with(path, image(3)) and "tiny:Mean was fitted to rows that are gone" in capsys.readouterr().out
    update(folder)
    assert dict(contents(corpus)) == purged and kinds(path) == []


def killed_after(calls: int, name: str) -> Callable[..., None]:
    """The function of purge, which after some calls is interrupted in place of running."""
    function, left = getattr(purging, name), [calls]

    def limited(*arguments: object) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        function(*arguments)

    return limited


def test_a_purge_that_was_cut_off_is_put_back_or_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "corpus"
    corpus = Corpus.open(path)
    take_down(corpus, [Stone("image", image_id(3))], "asked")
    before = dict(contents(corpus))
    for step, calls, action in (("replace_fragments", 1, "recover"), ("_clean", 0, None)):
        with monkeypatch.context() as patched:
            patched.setattr(f"tuwen.engine.purge.{step}", killed_after(calls, step))
            with pytest.raises(KeyboardInterrupt):
                purge(corpus, allow_code=True)
        (found,) = (each for each in examine(path) if each.place == PURGE_JOURNAL.name)
        assert found.kind == "unfinished" and found.action == action
        assert not [each for each in repair(path).left if each.is_harm or each.action]
        assert (dict(contents(corpus)) == before) == (action == "recover")
    drop_join(corpus, "scores")
    assert purge(corpus, allow_code=True).went_on and not files_with(path, image(3))


def lost_rows(corpus: Path) -> None:
    base_file(corpus, "pairs").unlink()


def wrong_image(corpus: Path) -> None:
    ((_, data),) = Corpus.open(corpus).dataset("images").read_blobs("bytes", indices=[0])
    for path in (corpus / "images.lance/data").rglob("*"):
        if path.is_file() and (at := path.read_bytes().find(data[:60])) >= 0:
            flipped(path, at + 10)
            return
    raise AssertionError("no file holds the image")


def twice(corpus: Path) -> None:
    opened = Corpus.open(corpus)
    (first, *_) = opened.table("fetches").to_pylist() or [{"fetch_id": "a" * 32}]
    batch = pa.RecordBatch.from_pylist([first, first], schema=TABLES["fetches"].schema)
    append_rows(opened, "fetches", [batch])


def damaged_manifest(corpus: Path) -> None:
    latest = min((corpus / "documents.lance/_versions").glob("*.manifest"))
    latest.write_bytes(latest.read_bytes()[:40])


def garbled_manifest(corpus: Path) -> None:
    """Of the table that joins and indexes ask."""
    min((corpus / "pairs.lance/_versions").glob("*.manifest")).write_text("garbage\n")


def lost_join(corpus: Path) -> None:
    next((corpus / "joins").glob("*.arrow")).unlink()


UNSAFE: dict[Callable[[Path], None], str] = {
    lost_rows: "missing_file",
    wrong_image: "damaged_file",
    twice: "duplicate_rows",
    damaged_manifest: "damaged_table",
    garbled_manifest: "damaged_table",
    lost_join: "damaged_join",
}


@pytest.mark.parametrize("damage", UNSAFE, ids=lambda each: each.__name__)
def test_what_is_lost_is_told_and_left_alone(folder: Path, damage: Callable[[Path], None]) -> None:
    path = folder / "corpus"
    damage(path)
    assert UNSAFE[damage] in kinds(path)
    files = {each: each.read_bytes() for each in path.rglob("*") if each.is_file() and each.name != ".lock"}
    repaired = repair(path)
    assert UNSAFE[damage] in {finding.kind for finding in repaired.left} and not repaired.done
    assert {each: each.read_bytes() for each in path.rglob("*") if each.is_file() and each.name != ".lock"} == files


@pytest.mark.parametrize("damage", [lost_column, lost_rows, garbled_manifest], ids=lambda each: each.__name__)
def test_commands_that_meet_damage_say_where_help_is(
    folder: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "corpus"
    damage(path)
    words = ["release", str(path), "--selection", "all", "--to", str(folder / "out"), "--format", "index"]
    code = main([*words, "--allow-code"])
    told = capsys.readouterr().err
    assert code == 1 and f"tuwen repair {path} says what can be done about it" in told and "/home/" not in told


def test_a_damaged_recipe_is_replaced_by_the_next_build(folder: Path) -> None:
    expected = dict(contents(Corpus.open(folder / "corpus")))
    (folder / "corpus/recipe.json").write_text("{")
    assert kinds(folder / "corpus") == ["damaged_json"]
    update(folder)
    assert kinds(folder / "corpus") == [] and dict(contents(Corpus.open(folder / "corpus"))) == expected


def test_files_that_are_nobodys_are_left_alone(folder: Path) -> None:
    mine = folder / "corpus/pairs.lance/data/notes.txt"
    mine.write_text("mine")
    assert kinds(folder / "corpus") == ["strange_file"]
    repair(folder / "corpus")
    assert mine.read_text() == "mine"


def test_unfinished_work_of_a_running_build_is_not_called_a_leftover(folder: Path) -> None:
    orphan(folder / "corpus")
    with Corpus.open(folder / "corpus").writing():
        assert kinds(folder / "corpus") == ["busy"]


def test_an_index_that_lags_behind_is_explained(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    row = {"pair_id": "e" * 32, "text": "later", "source": None, "source_unit": None}
    append_rows(corpus, "pairs", [pa.RecordBatch.from_pylist([row], schema=TABLES["pairs"].schema)])
    (drift,) = [finding for finding in examine(corpus.path) if finding.kind == "index_drift"]
    assert "lacks 1 of" in drift.what and drift.action is None


def test_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(folder / "corpus")
    assert main(["repair", path]) == 0 and "nothing is left over" in capsys.readouterr().out
    lost_column(folder / "corpus")
    assert main(["repair", path]) == 1
    out = capsys.readouterr().out
    assert "columns of tiny:Length for pairs" in out and f"tuwen repair {path} --yes" in out
    assert main(["status", path, "--allow-code", "--deep", "--json"]) == 1
    (finding,) = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["action"]]
    assert finding["kind"] == "missing_file"
    assert main(["repair", path, "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["kind"] for each in told["done"]] == ["missing_file"]
    assert main(["status", path, "--allow-code", "--deep"]) == 0
