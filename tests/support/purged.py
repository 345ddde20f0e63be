"""A small corpus whose rows are easily recognised in any file: every image and text is a random word of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.engine.build import build
from tuwen.engine.recipe import Recipe

STAGES = (
    "pair.resolve",
    "tiny:Parity",
    "tiny:Length",
    "tiny:NumPairs",
    "tiny:PageLength",
    "tiny:Mean",
    "tiny:Marked",
)


def word(*parts: object, characters: int = 90) -> str:
    """A word that occurs nowhere else and does not compress."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(random.Random(repr(parts)).choices(letters, k=characters))


def url(page: int) -> str:
    return f"http://host{page % 3}.test/{page}"


def image(page: int) -> bytes:
    return word("image", page, characters=300).encode()


def text(page: int, number: int) -> str:
    return f"{word('text', page, number)} w{page}n{number}"


def write_unit(folder: Path, name: str, pages: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"url": url(n), "texts": [text(n, k) for k in range(3)], "image": image(n).decode()} for n in pages]
    (folder / f"{name}.json").write_text(json.dumps(rows))


def recipe_for(folder: Path, *stages: str) -> Recipe:
    mapping: dict[str, Any] = {
        "name": "t",
        "sources": [{"tiny:Pages": {"folder": str(folder / "pages")}}],
        "stages": list(stages or STAGES),
        "selections": {"all": {"unit": "pair", "steps": [{"rule": "text is not null"}]}},
    }
    return Recipe.from_mapping(mapping, allow_code=True)


def make(folder: Path) -> Corpus:
    """Three units of pages: 0-7, 8-11, 12-13."""
    for name, pages in (("a", range(8)), ("b", range(8, 12)), ("c", range(12, 14))):
        write_unit(folder / "pages", name, pages)
    update(folder)
    return Corpus.open(folder / "corpus")


def update(folder: Path) -> Any:
    return build(recipe_for(folder), folder / "corpus", workers=1, quiet=True, allow_code=True)


def image_id(page: int) -> str:
    return digest(image(page))


def files_with(folder: Path, needle: bytes) -> list[str]:
    """Files that hold these bytes, or any 40 of them from a multiple of 40 on: what was cut or partly packed."""
    pieces = [needle[start : start + 40] for start in range(0, max(1, len(needle) - 39), 40)]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if any(piece in data for piece in pieces):
                found.append(str(path.relative_to(folder)))
    return found


def contents(corpus: Corpus) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every row of every table but units and tombstones, order apart."""
    for name in ("images", "documents", "pairs", "fetches"):
        rows = corpus.table(name, corpus.schema(name).names).to_pylist()
        yield name, sorted(rows, key=lambda row: str(row[TABLES[name].key]))
