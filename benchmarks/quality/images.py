"""Photos, icons and graphics.

`image.appearance` says what kind an image looks like: the kind with the highest score. Real images: 221 of the demo's
crawl, labelled by eye (`images.tsv`; diagrams and screenshots are both graphics), among which there is no photo; and 40
crops of the two photos that scikit-learn ships. The limits of colour were not fitted to them; those of an icon's size
were chosen with them in view, and a split of graphics into diagrams and screenshots was tried on them first and failed:
all 14 diagrams were taken for screenshots. There is no held-out set.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from sklearn.datasets import load_sample_images

from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.stages.image.appearance import Appearance
from tuwen.stages.image.pixels import decode

LABELS = Path(__file__).with_suffix(".tsv")
CRAWL = Path(__file__).parents[2] / "tuwen" / "demo" / "docs-crawl.warc.gz"
KINDS = ("photo", "icon", "graphic")


def tables() -> list[tuple[str, list[str], list[list[str]]]]:
    """Precision and recall of each kind, and where the labelled kinds went."""
    with LABELS.open(encoding="utf-8") as stream:
        labels = {row["image_id"]: row["kind"] for row in csv.DictReader(stream, delimiter="\t")}
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text(f"name: images\nsources: [{{warc: {{paths: ['{CRAWL}']}}}}]\nstages: []\n", encoding="utf-8")
        build(recipe, Path(folder) / "corpus", quiet=True)
        images = dict(zip(labels, Corpus.open(Path(folder) / "corpus").images(list(labels)), strict=True))
    data = [*images.values(), *photos()]
    kinds = [*labels.values(), *["photo"] * (len(data) - len(labels))]
    decoded = [decode(one, 128) for one in data]
    rows = Appearance()(pa.record_batch({"bytes": pa.array(data, pa.binary())}), pixels=decoded).to_pylist()
    found = [max(KINDS, key=lambda kind: row[f"{kind}_score"]) for row in rows]
    went = Counter(zip(kinds, found, strict=True))
    truth = [kind if kind in KINDS else "graphic" for kind in kinds]
    quality = []
    for kind in KINDS:
        hits = sum(a == b == kind for a, b in zip(truth, found, strict=True))
        quality.append([kind, str(truth.count(kind)), share(hits, found.count(kind)), share(hits, truth.count(kind))])
    table = [[kind, *(str(went[kind, one]) for one in KINDS)] for kind in dict.fromkeys(sorted(kinds))]
    return [
        ("By kind:", ["kind", "images", "precision", "recall"], quality),
        ("Where the labelled kinds went:", ["labelled", *KINDS], table),
    ]


def photos() -> list[bytes]:
    """Crops of photos, as JPEG."""
    rng = np.random.default_rng(7)
    found = []
    for pixels in load_sample_images().images:
        for _ in range(20):
            top, left = (int(rng.integers(0, side // 2)) for side in pixels.shape[:2])
            buffer = io.BytesIO()
            Image.fromarray(pixels[top : top + 213, left : left + 320]).save(buffer, "JPEG", quality=88)
            found.append(buffer.getvalue())
    return found


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"
