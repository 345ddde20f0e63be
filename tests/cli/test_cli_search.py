"""`tuwen search` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vector_corpus import key, small_corpus

from tuwen.cli import main


def test_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = str(small_corpus(tmp_path / "corpus").path)
    assert main(["search", corpus, "自行车"]) == 0
    out = capsys.readouterr().out
    assert "红色的自行车靠在墙上" in out and "1 pair found." in out and "Nothing is known of safety" in out
    assert main(["search", corpus, "--index"]) == 0
    assert "index on pairs.text: 7 rows" in capsys.readouterr().err
    words = ["search", corpus, "red", "--id", key("cat"), "--weight", "words=2", "--unit", "pair", "--json"]
    assert main(words) == 0
    assert set(json.loads(capsys.readouterr().out)["hits"][0]["scores"]) <= {"words", "vectors"}
    ids = tmp_path / "red-things.txt"
    assert main(["search", corpus, "red", "--save-ids", str(ids)]) == 0
    assert "--on pair_id --as red_things" in capsys.readouterr().out and key("p5") in ids.read_text()
    assert main(["search", corpus, "zebra"]) == 0
    assert "no pairs found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is asked for"),
        ([""], "is empty"),
        (["red", "--weight", "words"], "PART=NUMBER"),
        (["red", "--where", "nonsense >"], "cannot read"),
        (["zebra", "--save-ids", "z.txt"], "nothing was found"),
    ],
)
def test_wrong_usage(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = str(small_corpus(tmp_path / "corpus").path)
    assert main(["search", corpus, *words]) == 2
    assert said in capsys.readouterr().err
