"""Files of entries: every kind that is read, and every way to be broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuwen.errors import UsageError
from tuwen.stages.concepts.entries import read_entries

SYNSET = '00001740 03 n 02 red_fox 0 Vulpes_vulpes 0 001 @ 00001930 n 0000 | the common fox; "a red fox"'
LICENCE = "  1 This software and database is being provided to you | the LICENSEE  \n"
KINDS = {
    "list.txt": ("\ufeffred fox\r\n\n  图文 \n", [("red fox", ()), ("图文", ())]),
    "list.tsv": ("red fox\tVulpes vulpes\t\tfox\n图文\n", [("red fox", ("Vulpes vulpes", "fox")), ("图文", ())]),
    "metadata.json": ('["red fox", "no"]', [("red fox", ()), ("no", ())]),
    "object.json": ('{"red fox": ["fox"], "图文": []}', [("red fox", ("fox",)), ("图文", ())]),
    "list.jsonl": (
        '"art"\n\n{"name": "fox", "synonyms": ["vulpes"], "count": 3}\n',
        [("art", ()), ("fox", ("vulpes",))],
    ),
    "list.yaml": ("- no\n- {name: 3.10, synonyms: [yes]}\n", [("no", ()), ("3.10", ("yes",))]),
    "object.yml": ("fox: [vulpes]\n", [("fox", ("vulpes",))]),
    "data.noun": (LICENCE + SYNSET + "\n", [("red fox", ()), ("Vulpes vulpes", ())]),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(name: str, tmp_path: Path) -> None:
    text, expected = KINDS[name]
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_entries(str(tmp_path / name)) == expected


BROKEN = {
    "empty.txt": (b"", "holds no entry"),
    "blank.txt": (b" \n\n\t\n", "holds no entry"),
    "binary.txt": (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
    "null.txt": (b"fox\0art\n", "binary"),
    "latin.txt": ("Löwe\n".encode("latin-1"), "not UTF-8"),
    "long.txt": (b"fox\n" + b"x" * 10_000_000, "line 2: an entry of 10,000,000 characters"),
    "bad.json": (b'["fox", ', "no JSON: line 1"),
    "number.json": (b"3", "has to be a list"),
    "numbers.json": (b'["fox", 3]', "item 2: 3 is no entry"),
    "deep.json": (b"[" * 100_000, "no JSON"),
    "synonyms.json": (b'[{"name": "fox", "synonyms": [1]}]', "item 1"),
    "surrogate.json": (b'["\\ud800", "ok"]', "item 1: .* surrogate"),
    "key.json": (b'{"ok": ["x", "\\udfff"]}', "item 1: .* surrogate"),
    "surrogate.jsonl": (b'"ok"\n"\\ud800"\n', "line 2: .* surrogate"),
    "surrogate.yaml": (b'- "\\ud800"\n', "surrogate"),
    "digits.json": (b"[" + b"9" * 5_000 + b"]", "no JSON list of entries"),
    "digits.jsonl": (b"9" * 5_000, "no JSON list of entries"),
    "bad.jsonl": (b'"fox"\n{"name": \n', "no JSON: line 2"),
    "bad.yaml": (b"fox: [art\n", "no YAML"),
    "data.noun": (b"00001740 03 n zz | what\n", "not a synset"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as raised:
        read_entries(str(tmp_path / name))
    assert name in str(raised.value) and len(str(raised.value)) < 600


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_entries(str(path))


def test_half_a_million_entries(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([f"entry {number}" for number in range(500_000)]))
    assert len(read_entries(str(path))) == 500_000
