"""Files of entries: what concepts are looked for.

By the file's ending: `.txt` one entry a line; `.tsv` an entry and its synonyms, tab-separated; `.json` a list
(MetaCLIP's metadata.json is one) or an object of entry → list of synonyms; `.yaml`, `.yml` the same; `.jsonl` one item
a line. An item of a list is a string or `{name: …, synonyms: […]}`. Files named `data.noun`, `data.verb`, `data.adj`,
`data.adv` are read as WordNet's: every word of every synset is an entry of its own, because one word stands in many.
https://wordnet.princeton.edu/documentation/wndb5wn

UTF-8, with or without a byte order mark. Blank lines are skipped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuwen.errors import UsageError
from tuwen.files import regular

Entry = tuple[str, tuple[str, ...]]
MOST_CHARACTERS = 1_000
SUFFIXES = (".txt", ".tsv", ".json", ".jsonl", ".yaml", ".yml")
WORDNET = ("data.noun", "data.verb", "data.adj", "data.adv")
_SYNSET = re.compile(r"\d{8} \d\d ")
RULE = "a list of concepts is UTF-8 text: .txt, .tsv, .json, .jsonl, .yaml, or WordNet's data.noun"


def check_name(path: str) -> None:
    """`ValueError` unless the file's name says how to read it."""
    if Path(path).suffix.lower() not in SUFFIXES and Path(path).name not in WORDNET:
        raise ValueError(f"{path}: {RULE}; rename the file or convert it")


def read_entries(path: str) -> list[Entry]:
    """(name, synonyms) of each entry, in the file's order. `UsageError` for a file that is missing or broken."""
    text, suffix = read_text(path), Path(path).suffix.lower()
    if Path(path).name in WORDNET:
        found = list(_wordnet(path, text))
    elif suffix in (".txt", ".tsv"):
        found = [
            _entry(path, number, line.split("\t") if suffix == ".tsv" else [line]) for number, line in _lines(text)
        ]
    elif suffix == ".jsonl":
        found = [_item(path, f"line {number}", _json(path, line, number)) for number, line in _lines(text)]
    else:
        found = _items(path, _json(path, text) if suffix == ".json" else read_yaml(path, text))
    found = [entry for entry in found if entry[0].strip()]
    if not found:
        raise UsageError(f"{path} holds no entry; {RULE}")
    return found


def read_text(path: str) -> str:
    """The file's text. `UsageError` where it cannot be read or is none."""
    try:
        text = regular(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a file that is there") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start:,}); {RULE}") from error
    if "\0" in text:
        raise UsageError(f"{path} is a binary file; {RULE}")
    return text


def digest_of(path: str) -> str:
    """SHA-256 of the file. `UsageError` where it cannot be read."""
    try:
        with regular(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a file that is there") from error


def is_unicode(word: str) -> bool:
    """Whether the word can be written as UTF-8: JSON and the command line can bring single surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_yaml(path: str, text: str) -> Any:
    """What a YAML text holds, every scalar as it was written."""
    import yaml

    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # no dates, no booleans: `no` is a word
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank; only line feeds part lines, so that every other character may stand in one."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.strip("\r ")


def _json(path: str, text: str, line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is no JSON: line {line + error.lineno - 1}: {error.msg}") from error
    except ValueError as error:  # of numbers with thousands of digits
        raise UsageError(f"{path} is no JSON list of entries: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path} is no JSON list: it is nested too deeply") from error


def _items(path: str, value: Any) -> list[Entry]:
    if isinstance(value, dict):
        value = [{"name": name, "synonyms": synonyms} for name, synonyms in value.items()]
    if not isinstance(value, list):
        raise UsageError(f"{path} holds {_shown(value)}; it has to be a list of entries, or entry → list of synonyms")
    return [_item(path, f"item {number}", item) for number, item in enumerate(value, start=1)]


def _item(path: str, where: str, item: Any) -> Entry:
    if isinstance(item, dict) and "name" in item:
        synonyms = item.get("synonyms") or []
        words = [item["name"], *(synonyms if isinstance(synonyms, list) else [synonyms])]
    else:
        words = [item]
    if not all(isinstance(word, str) for word in words):
        raise UsageError(f"{path}, {where}: {_shown(item)} is no entry; give a string, or name and synonyms (strings)")
    return _entry(path, where, words)


def _entry(path: str, where: int | str, words: list[str]) -> Entry:
    words = [word.strip() for word in words]
    place = f"line {where}" if isinstance(where, int) else where
    for word in words:
        if not is_unicode(word):
            raise UsageError(f"{path}, {place}: {word[:40]!r} holds half a surrogate pair, which is no character")
        if len(word) > MOST_CHARACTERS:
            raise UsageError(
                f"{path}, {place}: an entry of {len(word):,} characters ({word[:40]!r}…); "
                f"at most {MOST_CHARACTERS:,} are allowed: is it a list of concepts, one a line?"
            )
    return words[0], tuple(word for word in words[1:] if word)


def _wordnet(path: str, text: str) -> Iterator[Entry]:
    for number, line in _lines(text):
        if _SYNSET.match(line):  # the lines of the licence are not
            fields = line.split(" ")
            try:
                words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
            except (IndexError, ValueError) as error:
                raise UsageError(f"{path}, line {number}: not a synset of WordNet 3: {line[:60]!r}") from error
            for word in words:
                yield _entry(path, number, [word.replace("_", " ").removesuffix("(a)").removesuffix("(p)")])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
