"""How often concepts are mentioned, and by which pairs."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.engine.concepts import concept_pairs, concept_report
from tuwen.engine.recipe import Recipe
from tuwen.engine.state import write_state
from tuwen.errors import UsageError
from tuwen.stages.concepts.entries import read_entries
from tuwen.stages.concepts.match import Match

RECIPE = Path(__file__).parents[2] / "examples" / "docs-crawl.yaml"


@pytest.fixture(scope="module")
def corpus(demo_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("concepts")
    (folder / "list.tsv").write_text(
        "face\tGesicht\t脸\neditor\ncasement\twindow\t窗口\nunicorn of nowhere\n", encoding="utf-8"
    )
    recipe: dict[str, Any] = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    recipe["sources"] = [{"warc": {"paths": [str(demo_crawl)]}}]
    recipe["stages"].append({"concepts.match": {"entries": str(folder / "list.tsv")}})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    tuwen.build(folder / "recipe.yaml", folder / "corpus", workers=1)
    return folder / "corpus"


def rows(corpus: Path) -> list[dict[str, Any]]:
    columns = ["pair_id", "text", "concepts", "language", "image_id"]
    return list(Corpus.open(corpus).table("pairs", columns).to_pylist())


def test_counts_are_those_of_the_column(corpus: Path, tmp_path: Path) -> None:
    found = concept_report(corpus, entries=tmp_path / "entries.jsonl")
    counts = Counter(name for row in rows(corpus) for name in row["concepts"])
    assert {each["name"]: each["count"] for each in found["head"]} == counts
    assert (found["num_entries"], found["num_found"], found["num_mentions"]) == (4, 3, sum(counts.values()))
    assert found["num_matched"] == sum(bool(row["concepts"]) for row in rows(corpus))
    written = [json.loads(line) for line in (tmp_path / "entries.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {each["name"]: each["count"] for each in written} == {**counts, "unicorn of nowhere": 0}
    assert dict(read_entries(str(tmp_path / "entries.jsonl")))["face"] == ("Gesicht", "脸")


def test_synonyms_are_summed_and_the_most_frequent_is_shown(corpus: Path) -> None:
    shown = {each["name"]: each for each in concept_report(corpus)["head"]}
    texts = [row["text"] for row in rows(corpus)]
    assert shown["casement"]["most_frequent_name"] == "window"
    num_window = sum(bool(re.search(r"(?i)(?<![a-z])window(?![a-z])", text)) for text in texts)
    assert shown["casement"]["name_count"] == num_window < shown["casement"]["count"]


def test_languages(corpus: Path) -> None:
    chinese = next(each for each in concept_report(corpus)["languages"] if each["language"] == "zh")
    own = [row["concepts"] for row in rows(corpus) if row["language"] == "zh"]
    assert (chinese["num_texts"], chinese["num_matched"]) == (len(own), sum(map(bool, own)))
    assert chinese["num_concepts"] == len({name for found in own for name in found})


@pytest.mark.parametrize(("query", "concepts"), [("FACE", ["face"]), ("窗口", ["casement"]), ("主窗口", [])])
def test_which_pairs_mention_it(corpus: Path, query: str, concepts: list[str]) -> None:
    found = concept_pairs(corpus, query, num_shown=5)
    expected = sorted(
        row["pair_id"] for row in rows(corpus) if (concepts and concepts[0] in row["concepts"]) or query in row["text"]
    )
    assert [each["name"] for each in found["concepts"]] == concepts
    assert found["num_pairs"] == len(expected) > 5
    assert [each["pair_id"] for each in found["examples"]] == expected[:5]
    assert sum(each["num_pairs"] for each in found["languages"]) == len(expected)


@pytest.mark.parametrize("selection", ["strong", "figures"])
def test_only_what_a_selection_keeps(corpus: Path, selection: str) -> None:
    kept = set(tuwen.judge(Corpus.open(corpus), selection).kept().read_all()["id"].to_pylist())
    key = "pair_id" if selection == "strong" else "image_id"
    own = [row for row in rows(corpus) if row[key] in kept]
    assert concept_report(corpus, selection)["num_texts"] == len(own)
    found = concept_pairs(corpus, "face", selection)
    assert found["num_pairs"] == sum("face" in row["concepts"] for row in own) > 0


def test_what_is_wrong_is_said(corpus: Path) -> None:
    with pytest.raises(UsageError, match="no letter, digit or symbol"):
        concept_pairs(corpus, " - ")
    with pytest.raises(UsageError, match=r"'\\udcff' is no UTF-8"):
        concept_pairs(corpus, "\udcff")
    with pytest.raises(UsageError, match=r"\.jsonl"):
        concept_report(corpus, entries="counts.csv")
    with pytest.raises(UsageError, match="nothing"):
        concept_report(corpus, "nothing")


def test_an_index_that_the_column_was_not_made_from_is_refused(demo_crawl: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("face\neditor\n", encoding="utf-8")
    stage: Any = Match(entries=str(tmp_path / "list.txt"))
    recipe = {
        "name": "concepts",
        "sources": [{"warc": {"paths": [str(demo_crawl)]}}],
        "stages": [{"concepts.match": {"entries": stage.entries}}],
    }
    tuwen.build(Recipe.from_mapping(recipe), tmp_path / "corpus", workers=1)
    assert concept_report(tmp_path / "corpus")["num_entries"] == 2
    (tmp_path / "list.txt").write_text("unicorn\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"model changed.*run tuwen build"):
        concept_report(tmp_path / "corpus")
    write_state(Corpus.open(tmp_path / "corpus"), stage)  # as a build does that is killed before it commits
    with pytest.raises(UsageError, match=r"model changed.*run tuwen build"):
        concept_report(tmp_path / "corpus")
    with pytest.raises(UsageError, match="out of date"):
        concept_pairs(tmp_path / "corpus", "face")
    tuwen.build(Recipe.from_mapping(recipe), tmp_path / "corpus", workers=1)
    assert concept_report(tmp_path / "corpus")["num_entries"] == 1
    (tmp_path / "list.txt").unlink()
    with pytest.raises(UsageError, match=r"list\.txt cannot be read"):
        concept_report(tmp_path / "corpus")


def test_the_command_prints(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["concepts", str(corpus)]) == 0
    assert "3 of 4 entries are mentioned" in capsys.readouterr().out
    assert main(["concepts", str(corpus), "Gesicht", "--selection", "strong"]) == 0
    assert "face, also Gesicht, 脸" in capsys.readouterr().out
    assert main(["concepts", str(corpus), "face", "--entries", "x.jsonl"]) == 2
