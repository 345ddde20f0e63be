"""The text writer: what is written, counted, left out, and noticed when it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuwen.errors import UsageError
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify
from tuwen.releases.writers.text import Text, num_words


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for path in sorted(folder.glob("data/*.jsonl")) for line in path.open("rb")]


def nodes_of(world) -> dict[str, list[dict]]:
    return {row["document_id"]: row["nodes"] for row in world.rows["documents"]}


def joined(nodes: list[dict], *regions: str) -> str:
    found = [node.get("text") for node in nodes if (node.get("region") or "main") in regions]
    return "\n\n".join(text.strip() for text in found if text)


def test_the_main_regions_in_reading_order(world, tmp_path):
    write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "text")
    nodes, rows = nodes_of(world), rows_of(tmp_path / "out")
    assert [row["document_id"] for row in rows] == sorted(world.kept("document"))
    for row in rows:
        assert row["text"] == joined(nodes[row["document_id"]], "main")
        assert row["num_text_characters"] == len(row["text"])
        assert row["url"].startswith("https://host")


def test_other_regions_on_request(world, tmp_path):
    ledger = world.ledgers["document"]
    write_release(world.corpus, ledger, tmp_path / "out", "text", {"regions": ["header", "footer"]})
    nodes = nodes_of(world)
    for row in rows_of(tmp_path / "out"):
        assert row["text"] == joined(nodes[row["document_id"]], "header", "footer")


@pytest.mark.parametrize(
    ("text", "count"), [("A red fox", 3), ("红狐 fox", 3), ("", 0), ("…", 0), ("don't stop", 2), ("カテゴリー", 5)]
)
def test_words_are_counted_as_tokens(text, count):
    assert num_words([text, "one"]) == [count, 1]


def test_paragraphs_of_earlier_documents_are_left_out_on_request():
    def nodes(*texts: str | None, kind: str = "text") -> list[dict]:
        return [{"text": text, "region": "main", "kind": kind} for text in texts]

    seen: set[int] = set()
    writer = Text(drop_duplicate_paragraphs=True)
    assert writer._text(nodes("first", "Again", None, "first"), seen) == "first\n\nAgain\n\nfirst", "its own stay"
    assert writer._text(nodes("  AGAIN ", "last"), seen) == "last"
    assert writer._text(nodes("last", kind="heading"), seen) == "last", "headings recur"
    assert Text()._text(nodes("last", "last"), set()) == "last\n\nlast"


def test_of_every_paragraph_one_copy_is_released(world, tmp_path):
    parameters = {"drop_duplicate_paragraphs": True}
    write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "text", parameters)
    assert verify(tmp_path / "out") == []
    nodes = nodes_of(world)
    kept = {text for row in rows_of(tmp_path / "out") for text in row["text"].split("\n\n")}
    for document in world.kept("document"):
        for node in nodes[document]:
            if node.get("region") == "main" and node.get("text"):
                assert node["text"].strip() in kept or "\n\n" in node["text"]


def test_tokens_of_a_tokenizer(world, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    letters = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"<unk>": 0}, merges=[], unk_token="<unk>"))
    letters.save(str(tmp_path / "tokenizer.json"))
    parameters = {"tokenizer": str(tmp_path / "tokenizer.json")}
    write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "text", parameters)
    for row in rows_of(tmp_path / "out"):
        assert row["num_tokens"] == len(letters.encode(row["text"], add_special_tokens=False).ids) > 0
    assert verify(tmp_path / "out") == []
    assert "SHA-256" in (tmp_path / "out/README.md").read_text()


def test_a_tokenizer_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no file"):
        Text(tokenizer=str(tmp_path / "missing.json"))
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(UsageError, match="no tokenizer"):
        Text(tokenizer=str(tmp_path / "broken.json"))._num_tokens(["text"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:-1], "number of documents"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "out of order"),
        (lambda lines: [lines[0][:-2], *lines[1:]], "line 1"),
        (lambda lines: [lines[0].replace('"text":"', '"text":"x'), *lines[1:]], "characters of document"),
        (lambda lines: ["[]\n", *lines[1:]], "no JSON object"),
        (lambda lines: ["{}\n", *lines[1:]], "is no document"),
    ],
)
def test_damage_is_found(damage, message, world, tmp_path):
    write_release(world.corpus, world.ledgers["document"], tmp_path / "out", "text")
    (shard,) = (tmp_path / "out/data").iterdir()
    lines = [f"{line}\n" for line in shard.read_text(encoding="utf-8").split("\n")[:-1]]
    shard.write_text("".join(damage(lines)), encoding="utf-8")
    problems = []
    try:
        problems += [str(problem) for problem in Text().check(tmp_path / "out", {f"data/{shard.name}": len(lines)})]
    except ValueError as error:
        problems.append(str(error))
    assert any(message in problem for problem in problems), problems
    assert verify(tmp_path / "out") != []
