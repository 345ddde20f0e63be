"""The corpus that `explore.py` looks at: pairs with captions, images, documents with URLs, two selections, an index.

A third as many images as pairs, a tenth as many documents. Captions are two halves of 2 to 6 words each, drawn by
Zipf's law from 50,000 made-up words, half of them Latin, half Chinese. Hosts are drawn by Zipf's law from 20,000. All
images have the bytes of one small PNG, so that thumbnails can be asked for.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from search import captions, words
from selection import IMAGE_COLUMNS, PAIR_COLUMNS, PAIRS_PER_IMAGE, ROWS, add, commit, ids, pair_columns

from tuwen.corpus.corpus import Corpus, write_json
from tuwen.corpus.indexes import build_index

PAIRS_PER_DOCUMENT = 10
NUM_HALVES, NUM_HOSTS = 20_000, 20_000
SELECTIONS = {
    "large": {"unit": "image", "steps": [{"rule": "width >= 200 and height >= 200"}, {"rule": "width <= 3 * height"}]},
    "good": {
        "unit": "pair",
        "steps": [
            {"within": "large"},
            {"rule": "text_source in ('alt', 'caption', 'title')"},
            {"rule": "num_characters between 5 and 280"},
            {"rule": "tier_score >= 0.4"},
        ],
    },
}


def synthetic(path: Path, num_pairs: int) -> Corpus:
    """Make the corpus, its index of texts included. 10 million pairs take some minutes and 4 GB."""
    corpus = Corpus.create(path)
    rng = np.random.default_rng(21)
    halves = pa.array([text[:80] for text in captions(words(), rng, NUM_HALVES)])
    picture = pa.scalar(_png(), pa.large_binary())
    for numbers in _blocks(num_pairs // PAIRS_PER_IMAGE + 1):
        add(corpus, "images", {"image_id": ids(1, numbers), "bytes": pa.repeat(picture, len(numbers))})
    for numbers in _blocks(num_pairs):
        first, second = (halves.take(pa.array(rng.integers(0, NUM_HALVES, len(numbers)))) for _ in "ab")
        rows = {
            "pair_id": ids(2, numbers),
            "document_id": ids(3, numbers // PAIRS_PER_DOCUMENT),
            "text": pc.binary_join_element_wise(first, second, " "),
            "text_source": pa.array(np.array(["alt", "caption", "title", "before"])[numbers % 4]),
            "image_ref": _urls("img", numbers, rng),
        }
        add(corpus, "pairs", rows)
    for numbers in _blocks(num_pairs // PAIRS_PER_DOCUMENT + 1):
        add(corpus, "documents", {"document_id": ids(3, numbers), "url": _urls("www", numbers, rng)})
    commit(corpus, "images", "image.properties", IMAGE_COLUMNS, lambda n: _sizes(n, rng))
    commit(corpus, "pairs", "pair.resolve", PAIR_COLUMNS, lambda n: pair_columns(n, rng))
    write_json(corpus.path / "recipe.json", {"name": "explore", "selections": SELECTIONS})
    with corpus.writing():
        build_index(corpus, "pairs", "text")
    return corpus


def _blocks(number: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + ROWS, number)) for start in range(0, number, ROWS)]


def _urls(prefix: str, numbers: np.ndarray, rng: np.random.Generator) -> pa.Array:
    hosts = pa.array(np.minimum(rng.zipf(1.3, len(numbers)), NUM_HOSTS)).cast(pa.string())
    return pc.binary_join_element_wise(f"http://{prefix}", hosts, ".test/", pa.array(numbers).cast(pa.string()), "")


def _sizes(numbers: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    return {name: np.exp(rng.normal(6, 1, len(numbers))).astype(np.int32) + 1 for name in ("width", "height")}


def _png() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (180, 200, 90)).save(stream, "PNG")
    return stream.getvalue()
