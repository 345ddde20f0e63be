"""Plain text of documents, one a line, with token counts: for language models.

Field by field, for loaders written for other corpora:

| here | FineWeb2 | WanJuan |
|---|---|---|
| `document_id` | `id` | `id` |
| `text` | `text` | `content` |
| `url`, `title` | `url`, — | `url`, `title` |
| `language`, `language_confidence` | `language`, `language_score` | `language` |
| `license` | — | licence of the part |
| `document_cluster_size` | `minhash_cluster_size` | — |
| `num_tokens` | — | — |

<https://arxiv.org/abs/2506.20920>, <https://arxiv.org/abs/2308.10755>
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from tuwen.errors import TuwenError, UsageError
from tuwen.releases.content import Content
from tuwen.releases.croissant import field, file_set
from tuwen.releases.manifest import canonical_json
from tuwen.releases.problem import Problem
from tuwen.releases.samples import feature, plain_rows
from tuwen.releases.shards import refuse_duplicates, shard_name
from tuwen.stages.dedup.paragraphs import normalised
from tuwen.stages.lookup import keys_of
from tuwen.stages.words import words_of

WRITTEN = {"text": "sc:Text", "num_text_characters": "sc:Integer", "num_tokens": "sc:Integer"}
MAX_LINE_BYTES = 1 << 30  # when reading
_SLICE_ROWS = 16  # documents as Python values at a time: a page may have thousands of nodes


@dataclass(frozen=True)
class Text:
    """`data/00000.jsonl`, …: one document a line, its `text`, `num_tokens` and every exported column.

    The text is that of the nodes in `regions` (a node without a region counts as main), in reading order, with an empty
    line between two nodes; images leave no trace. With `drop_duplicate_paragraphs` nodes of kind `text` that stand word
    for word in an earlier document of the release are left out (as `dedup.paragraphs` compares them, but among what is
    released, so that of every paragraph one copy stays); about 60 bytes of memory for each distinct paragraph.

    `num_tokens` counts words, a Han character or kana being one; with `tokenizer`, the path of a `tokenizer.json`, the
    tokens of that tokenizer without special ones (`pip install 'tuwen[transformers]'`).
    """

    version: ClassVar[int] = 1
    units: ClassVar[tuple[str, ...]] = ("document",)
    sample: ClassVar[str] = "row"

    regions: tuple[str, ...] = ("main",)
    drop_duplicate_paragraphs: bool = False
    tokenizer: str | None = None
    samples_per_shard: int = 100_000
    shard_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        if not self.regions:
            raise UsageError("text: regions must name at least one region, for example main")
        if min(self.samples_per_shard, self.shard_bytes) < 1:
            raise UsageError("text: samples_per_shard and shard_bytes must be at least 1")
        if self.tokenizer is not None and not Path(self.tokenizer).is_file():
            raise UsageError(f"text: tokenizer {self.tokenizer!r} is no file; name a tokenizer.json")

    def write(self, content: Content, folder: Path) -> dict[str, int]:
        """Write `data/00000.jsonl`, …"""
        names = content.schema.names
        refuse_duplicates([*names, *WRITTEN])
        (data := folder / "data").mkdir(parents=True)
        counts: dict[str, int] = {}
        name, size = "", 0
        for line in self._lines(content):
            if not counts or counts[name] >= self.samples_per_shard or size >= self.shard_bytes:
                name, size = shard_name(len(counts), "jsonl"), 0
                counts[name] = 0
                stream = (data / name).open("wb")
            stream.write(line)
            counts[name] += 1
            size += len(line)
            if counts[name] >= self.samples_per_shard or size >= self.shard_bytes:
                stream.close()
        if counts:
            stream.close()
        return {f"data/{name}": count for name, count in counts.items()}

    def _lines(self, content: Content) -> Iterator[bytes]:
        seen: set[int] = set()
        for batch in content.node_rows():
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                piece = batch.slice(start, _SLICE_ROWS)
                texts = [self._text(nodes or [], seen) for nodes in piece["nodes"].to_pylist()]
                rows = plain_rows(piece.select(content.schema.names))
                for row, text, count in zip(rows, texts, self._num_tokens(texts), strict=True):
                    written = {"text": text, "num_text_characters": len(text), "num_tokens": count}
                    yield canonical_json(row | written) + b"\n"

    def _text(self, nodes: Sequence[Mapping[str, Any]], seen: set[int]) -> str:
        """Text of a document; `seen` holds the keys of the paragraphs of those before, and takes up its own."""
        shown = [node for node in nodes if (node["region"] or "main") in self.regions and node["text"]]
        if self.drop_duplicate_paragraphs:
            keys = keys_of(pa.array([normalised(node["text"]) for node in shown], pa.string())).tolist()
            prose = [node["kind"] == "text" for node in shown]
            pairs = list(zip(shown, keys, prose, strict=True))
            shown = [node for node, key, is_prose in pairs if not (is_prose and key in seen)]
            seen.update(key for _, key, is_prose in pairs if is_prose)
        return "\n\n".join(node["text"].strip() for node in shown)

    def _num_tokens(self, texts: Sequence[str]) -> list[int]:
        if self.tokenizer is None:
            return num_words(texts)
        encoded = load_tokenizer(self.tokenizer).encode_batch(list(texts), add_special_tokens=False)
        return [len(each.ids) for each in encoded]

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]:
        """Every line is a document with its text and counts, ids in order and each once, over all shards."""
        last = ""
        for name in sorted(shards):
            count = 0
            for row in read_lines(folder / name):
                count += 1
                identity, text = row.get("document_id"), row.get("text")
                if not isinstance(identity, str) or not isinstance(text, str):
                    yield Problem(name, f"line {count} is no document", "document_id and text", str(row)[:80])
                    continue
                if identity <= last:
                    yield Problem(name, "documents are out of order or repeated", f"an id after {last}", identity)
                last = max(last, identity)
                if row.get("num_text_characters") != len(text):
                    found = str(row.get("num_text_characters"))
                    yield Problem(name, f"characters of document {identity}", str(len(text)), found)
                if self.tokenizer is None and row.get("num_tokens") != num_words([text])[0]:
                    found = str(row.get("num_tokens"))
                    yield Problem(name, f"tokens of document {identity}", str(num_words([text])[0]), found)
            if count != shards[name]:
                yield Problem(name, "number of documents", str(shards[name]), str(count))

    def configs(self) -> list[dict[str, str]]:
        """One configuration: all shards."""
        return [{"config_name": "default", "data_files": "data/*.jsonl"}]

    def features(self, content: Content) -> list[dict[str, Any]]:
        """Declared, because a loader that guesses takes a column of nulls for one of nothing."""
        kinds = {"sc:Text": "string", "sc:Integer": "int64"}
        written = [{"name": name, "dtype": kinds[kind]} for name, kind in WRITTEN.items()]
        return [feature(column.name, column.type) for column in content.schema if column.name not in WRITTEN] + written

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """One record set with the id, the text and its counts."""
        kinds = {"document_id": "sc:Text", **WRITTEN}
        fields = [field(f"default/{name}", kind, "lines", column=name) for name, kind in kinds.items()]
        record_set = {"@type": "cr:RecordSet", "@id": "default", "name": "default", "field": fields}
        return [file_set("lines", "data/*.jsonl", "application/jsonlines")], [record_set]

    def usage(self) -> str:
        """How to load it."""
        counted = "words; a Han character or kana is one"
        if self.tokenizer is not None:
            digest = hashlib.sha256(Path(self.tokenizer).read_bytes()).hexdigest()
            counted = f"those of a tokenizer, without special ones; the SHA-256 of its file is `{digest}`"
        return f"""```python
from datasets import load_dataset

documents = load_dataset("json", data_files="data/*.jsonl", split="train")
print(sum(documents["num_tokens"]), documents[0]["text"])
```

One document a line, in the order of `document_id`. Nodes of a page are separated by an empty line. Unsigned 64-bit
integers are strings of digits. Tokens are {counted}.
"""


def num_words(texts: Sequence[str]) -> list[int]:
    """Words of each text; a Han character or kana is one."""
    _, rows = words_of(pa.array(texts, pa.string()))
    return list(map(int, np.bincount(rows.to_numpy(zero_copy_only=False), minlength=len(texts))))


@functools.lru_cache(maxsize=1)
def load_tokenizer(path: str) -> Any:
    """A tokenizer of the library `tokenizers`; `TuwenError` says how to install it."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise TuwenError("counting with a tokenizer needs `pip install 'tuwen[transformers]'`") from error
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # the library raises bare Exceptions
        raise UsageError(f"text: {path} is no tokenizer that `tokenizers` can read: {error}") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a shard, strictly: `ValueError` for a line that is cut off or no JSON object."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if not line.endswith(b"\n"):
                raise ValueError(f"line {number} is cut off or beyond {MAX_LINE_BYTES} bytes")
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield row
