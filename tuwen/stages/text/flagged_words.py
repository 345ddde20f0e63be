"""Texts that hold words of a list: adult, gambling, or the user's own lists."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from tuwen.errors import UsageError
from tuwen.stages.scripts import unspaced_class

_SHIPPED = Path(__file__).with_suffix(".yaml")
_ANYWHERE = re.compile(unspaced_class())
_NEXT = "\\pL\\pM\\pN"


@dataclass(frozen=True)
class FlaggedWords:
    """Which word lists a text hits: flags of a topic, to be judged with others, since a word alone proves little.

    `flagged`  names of the lists with a word in the text, in the order of the file; empty for none, null without a text

    Words match in Unicode's form NFKC, case folded; as whole words, and anywhere where they hold letters of a script
    that is written without spaces. Shipped are `adult` and `gambling`, English and Chinese with a little Russian and
    Japanese: moderate lists without words that mean other things as well ("escort", 黄色). `lists` names a YAML file
    instead: each key a list's name, with words, or with `words` and `except` (longer phrases in which a word does not
    count). Word lists as filters: https://arxiv.org/abs/2308.10755 (WanJuan), https://arxiv.org/abs/1910.10683 (C4).
    """

    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("flagged", pa.list_(pa.string()))])

    lists: str | None = None

    def __post_init__(self) -> None:
        if self.lists is not None and not Path(self.lists).is_file():
            raise ValueError(f"lists: {self.lists!r} is no file; name a YAML file of word lists, or leave it out")

    def model_hash(self) -> str:
        """SHA-256 of the lists."""
        return hashlib.sha256(Path(self.lists or _SHIPPED).read_bytes()).hexdigest()

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        text = pc.utf8_lower(pc.utf8_normalize(batch["text"].cast(pa.string()), "NFKC"))
        names, masks = [], []
        for name, words, exceptions in _patterns(str(self.lists or _SHIPPED), self.model_hash()):
            left = pc.replace_substring_regex(text, exceptions, " ") if exceptions else text
            masks.append(pc.fill_null(pc.match_substring_regex(left, words), False).to_numpy(zero_copy_only=False))
            names.append(name)
        valid = batch["text"].is_valid().to_pylist()
        rows = zip(*masks, strict=True) if masks else [()] * len(valid)
        found = [
            [name for name, hit in zip(names, hits, strict=True) if hit] if known else None
            for known, hits in zip(valid, rows, strict=True)
        ]
        return pa.record_batch([pa.array(found, pa.list_(pa.string()))], schema=self.writes)


@lru_cache(maxsize=4)
def _patterns(path: str, digest: str) -> list[tuple[str, str, str | None]]:
    """(name, pattern of the words, pattern of the exceptions) of each list of a file with this digest."""
    try:
        lists = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {error}; write `name: [word, word]`") from error
    if not isinstance(lists, Mapping) or not lists:
        raise UsageError(f"{path} holds no word lists; write `name: [word, word]`")
    return [(str(name), *_compiled(path, name, given)) for name, given in lists.items()]


def _compiled(path: str, name: Any, given: Any) -> tuple[str, str | None]:
    words, exceptions = (given.get("words"), given.get("except")) if isinstance(given, Mapping) else (given, None)
    exceptions = exceptions or []
    if not (isinstance(words, list) and words and isinstance(exceptions, list)):
        raise UsageError(f"list {name!r} of {path} has no words; write `{name}: [word, word]`")
    return _alternatives(words), _alternatives(exceptions) if exceptions else None


def _alternatives(words: list[Any]) -> str:
    """One pattern for all words. RE2's own word boundary knows ASCII only."""
    plain = pc.utf8_lower(pc.utf8_normalize(pa.array([str(word).strip() for word in words]), "NFKC")).to_pylist()
    escaped = [re.sub(r"([^\w\s])", r"\\\1", word).replace(" ", r"\s+") for word in plain if word]
    whole = [word for word in escaped if not _ANYWHERE.search(word)]
    parts = [word for word in escaped if _ANYWHERE.search(word)]
    if whole:
        parts.append(f"(?:^|[^{_NEXT}])(?:{'|'.join(whole)})(?:[^{_NEXT}]|$)")
    return "|".join(parts)
