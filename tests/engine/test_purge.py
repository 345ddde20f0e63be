"""Physical removal: nowhere afterwards, nothing else changed or stale, and no kill that matters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from purged import contents, files_with, image, image_id, make, recipe_for, text, update, url, word

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import build_index, index_states
from tuwen.corpus.tombstones import Stone
from tuwen.corpus.versions import version_numbers
from tuwen.engine.build import build, plan
from tuwen.engine.purge import purge
from tuwen.engine.status import status
from tuwen.errors import UsageError
from tuwen.fetching.attempt import Attempt
from tuwen.fetching.spool import Spool, read, sealed_files
from tuwen.parts import name_of
from tuwen.releases.takedown import take_down
from tuwen.stages import kind_of

SCRIPT = Path(__file__).parents[1] / "support" / "killed_purge.py"
GONE, STAYS = 5, 4


def needles(page: int) -> list[bytes]:
    return [image(page), *(text(page, number).encode() for number in range(3))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that holds rows wherever one can: tables, join, index, ledger, spool, replies, logs, exports of old."""
    folder = tmp_path_factory.mktemp("purge")
    corpus = make(folder)
    lines = ["text,caption", *(f"{text(page, 0)},{word('joined', page)}" for page in range(14))]
    (folder / "captions.csv").write_text("\n".join(lines))
    tuwen.join(corpus, folder / "captions.csv", on="text", allow_code=True, workers=1, quiet=True)
    with corpus.writing():
        build_index(corpus, "pairs", "text")
    tuwen.judge(corpus, "all")
    with Spool(corpus.path / "fetching") as spool:
        for page in (GONE, STAYS):
            spool.add(Attempt(f"{url(page)}/x", 0, 200, None, image_id=image_id(page), image=image(page)))
    corpus.folder("cache").joinpath("replies.sqlite").write_text(f"a judge said of it: {text(GONE, 1)}")
    log = {"event": "fragment", "rows": 3, "examples": {"tiny:Length": f"ValueError: {text(GONE, 2)}"}}
    corpus.folder("logs").joinpath("20260101T000000Z-build.jsonl").write_text(json.dumps(log) + "\n")
    take_down(corpus, [Stone("url", url(GONE)), Stone("image", image_id(GONE))], "asked")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "it", dirs_exist_ok=True)
    mapping = json.loads((tmp_path / "it/corpus/recipe.json").read_text())
    mapping["sources"] = [{"tiny:Pages": {"folder": str(tmp_path / "it/pages")}}]
    (tmp_path / "it/corpus/recipe.json").write_text(json.dumps(mapping))
    return tmp_path / "it"


def test_the_bytes_and_texts_are_nowhere_afterwards(folder: Path) -> None:
    corpus = folder / "corpus"
    before = {needle: files_with(corpus, needle) for needle in [*needles(GONE), word("joined", GONE).encode()]}
    assert all(before.values()), "the test would not see them"
    places = {Path(name).parts[0] for names in before.values() for name in names}
    assert {"images.lance", "pairs.lance", "joins", "fetching", "cache", "logs"} <= places
    done = purge(corpus, allow_code=True)
    assert done.rows == {"pairs": 6, "documents": 1, "images": 1} and done.num_bytes_freed > 0
    assert {needle: files_with(corpus, needle) for needle in before} == {needle: [] for needle in before}
    for needle in [*needles(STAYS), word("joined", STAYS).encode()]:
        assert files_with(corpus, needle), "what was not taken down is gone"
    assert not list(corpus.glob("ledgers/*")) and not list(corpus.glob("cache/*"))
    (spooled,) = [attempt for path in sealed_files(corpus / "fetching") for attempt in read(path)]
    assert spooled.image == image(STAYS)
    (event,) = map(json.loads, (corpus / "logs/20260101T000000Z-build.jsonl").read_text().splitlines())
    assert event == {"event": "fragment", "rows": 3}
    assert version_numbers(corpus) == [done.version]
    assert not (corpus / "purge-journal.json").exists()


def test_other_rows_are_what_they_were_and_only_whole_corpus_columns_are_stale(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    gone = {row["pair_id"] for row in corpus.table("pairs").to_pylist() if text(GONE, 0)[:20] in row["text"]}
    expected = dict(contents(corpus))
    stale = {stage["stage"] for stage in status(corpus.path, allow_code=True)["stages"] if stage["reasons"]}
    assert gone and not stale
    purge(corpus, allow_code=True)
    found = dict(contents(Corpus.open(corpus.path)))
    lost = {name: [row for row in expected[name] if row not in found[name]] for name in expected}
    assert [len(rows) for rows in lost.values()] == [1, 1, 6, 0]
    assert all(row in expected[name] for name in found for row in found[name])
    after = {stage["stage"]: stage for stage in status(corpus.path, allow_code=True)["stages"]}
    assert {name for name, stage in after.items() if stage["reasons"]} == {"tiny:NumPairs", "tiny:PageLength"}
    assert after["tiny:NumPairs"]["reasons"] == ["pairs.document_id changed"]
    assert all(reason.startswith("may change with") for reason in after["tiny:PageLength"]["reasons"])
    built = update(folder)
    assert set(built.stage_rows) <= {"tiny:NumPairs", "tiny:PageLength"} and not built.added_rows
    assert plan(recipe_for(folder), corpus.path).nothing_to_do


def test_a_build_afterwards_equals_columns_computed_from_nothing(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    purge(corpus, allow_code=True)
    update(folder)
    found = dict(contents(Corpus.open(corpus.path)))
    fitted = next((corpus.path / "states").iterdir()).read_bytes()
    for table in ("images", "documents", "pairs"):
        written = [name for name, stage in corpus.columns(table).items() if stage and not stage.startswith("join.")]
        if written:
            corpus.dataset(table).drop_columns(written)
    build(recipe_for(folder), corpus.path, workers=1, quiet=True, allow_code=True)
    assert dict(contents(Corpus.open(corpus.path))) == found
    assert next((corpus.path / "states").iterdir()).read_bytes() == fitted


def test_a_fragment_that_loses_all_rows_is_gone(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    take_down(corpus, [Stone("url", url(page)) for page in (12, 13)], "asked")
    purge(corpus, allow_code=True)
    assert not {url(12), url(13)} & set(corpus.table("documents", ["url"])["url"].to_pylist())
    assert files_with(corpus.path, text(13, 1).encode()) == [] and files_with(corpus.path, image(13))
    assert not update(folder).added_rows


def test_the_index_finds_the_rest(folder: Path) -> None:
    corpus = Corpus.open(folder / "corpus")
    purge(corpus, allow_code=True)
    (state,) = index_states(corpus)
    assert (state.table, state.column, state.num_missing) == ("pairs", "text", 0)
    assert {hit.text for hit in tuwen.search(corpus, f"w{STAYS}n0").hits} == {text(STAYS, 0)}
    assert not tuwen.search(corpus, f"w{GONE}n0").hits


def test_a_second_purge_does_nothing(folder: Path) -> None:
    purge(folder / "corpus", allow_code=True)
    before = Corpus.open(folder / "corpus").version()
    assert purge(folder / "corpus", allow_code=True).did_nothing
    assert Corpus.open(folder / "corpus").version() == before


@pytest.mark.parametrize("stride", [11, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_many_steps(made: Path, folder: Path, tmp_path: Path, stride: int) -> None:
    def copied(name: str) -> Path:
        shutil.copytree(folder, tmp_path / name)
        return tmp_path / name

    undisturbed = copied("undisturbed")
    done = subprocess.run([sys.executable, SCRIPT, undisturbed, "0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected, num_steps = dict(contents(Corpus.open(undisturbed / "corpus"))), int(done.stdout)
    assert num_steps > 50
    for step in range(
        1, num_steps + 1, stride
    ):  # each run is a process; steps are counted before and after each change
        killed = copied(f"killed{step}")
        ended = subprocess.run([sys.executable, SCRIPT, killed, str(step)], capture_output=True, text=True)
        assert ended.returncode == -9, f"step {step}: {ended.stderr}"
        if step % 3 == 0:  # some build in between; nothing that was taken down comes back
            mapping = json.loads((killed / "corpus/recipe.json").read_text())
            mapping["sources"] = [{"tiny:Pages": {"folder": str(killed / "pages")}}]
            (killed / "corpus/recipe.json").write_text(json.dumps(mapping))
            update(killed)
        purge(killed / "corpus", allow_code=True)
        where = f"killed at step {step} of {num_steps}"
        for needle in [*needles(GONE), word("joined", GONE).encode()]:
            assert files_with(killed / "corpus", needle) == [], where
        assert not (killed / "corpus/purge-journal.json").exists(), where
        found = dict(contents(Corpus.open(killed / "corpus")))
        if step % 3:
            assert found == expected, where
        assert [len(rows) for rows in found.values()] == [len(rows) for rows in expected.values()], where
        shutil.rmtree(killed)


def test_it_has_to_be_confirmed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = str(folder / "corpus")
    before = Corpus.open(corpus).version()
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    assert main(["purge", corpus, "--allow-code"]) == 2
    assert "--yes" in capsys.readouterr().err and Corpus.open(corpus).version() == before
    assert main(["purge", corpus, "--allow-code", "--dry-run"]) == 0
    assert "6 pairs, 1 document, 1 image" in capsys.readouterr().out and Corpus.open(corpus).version() == before
    assert main(["purge", corpus, "--allow-code", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"pairs": 6, "documents": 1, "images": 1}
    assert main(["purge", corpus, "--allow-code"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_code_of_a_recipe_is_not_run_unless_allowed(folder: Path) -> None:
    before = Corpus.open(folder / "corpus").version()
    with pytest.raises(UsageError, match="--allow-code"):
        purge(folder / "corpus")
    assert Corpus.open(folder / "corpus").version() == before


def test_stages_and_fragments_of_a_real_crawl_stay_up_to_date(
    split_crawl: Callable[[int], list[Path]], tmp_path: Path
) -> None:
    import yaml

    mapping = yaml.safe_load((Path(__file__).parents[2] / "examples/docs-crawl.yaml").read_text(encoding="utf-8"))
    mapping["sources"] = [{"warc": {"paths": [str(path) for path in split_crawl(3)]}}]
    recipe = tuwen.Recipe.from_mapping(mapping)
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    corpus = Corpus.open(tmp_path / "corpus")
    pages = corpus.table("pairs", ["document_id"])["document_id"].to_pylist()
    page = max(sorted(set(pages)), key=pages.count)
    address = corpus.table("documents", ["url"], f"document_id = '{page}'")["url"][0].as_py()
    image_ids = corpus.table("images", ["image_id"])["image_id"].to_pylist()
    take_down(corpus, [Stone("url", address), Stone("image", image_ids[40])], "asked")
    purge(corpus)
    kinds = {name_of(stage): kind_of(stage) for stage in recipe.stages}
    stale = {stage["stage"]: stage["reasons"] for stage in status(corpus.path)["stages"] if stage["reasons"]}
    for name, reasons in stale.items():
        assert kinds[name] == "corpus" or all(each.startswith("may change with") for each in reasons), (name, reasons)
    assert {"image.properties", "image.perceptual_hash", "text.properties", "text.language"}.isdisjoint(stale)
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    found = dict(contents(Corpus.open(corpus.path)))
    for table in ("images", "documents", "pairs"):
        corpus.dataset(table).drop_columns([name for name, stage in corpus.columns(table).items() if stage])
    build(recipe, tmp_path / "corpus", workers=1, quiet=True)
    assert dict(contents(Corpus.open(corpus.path))) == found
