"""Test sets as CLIP_benchmark lays them out. <https://github.com/LAION-AI/CLIP_benchmark>

FOLDER/test/0.tar, 1.tar …                        KEY.webp (jpg, png), KEY.cls (a number) or KEY.txt (captions)
FOLDER/test/nshards.txt                           how many shards there are
FOLDER/classnames.txt                             a name a line, in the order of the numbers
FOLDER/zeroshot_classification_templates.txt      a prompt a line, with {c} where the name goes
FOLDER/dataset_type.txt                           `retrieval`, where there are captions instead of classes
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuwen.errors import UsageError
from tuwen.evaluations.clip_benchmark import CLASSES, lines
from tuwen.evaluations.clip_benchmark import ClipBenchmark as ClassesAndPrompts
from tuwen.evaluations.retrieval import Retrieval
from tuwen.proof.examples.webdataset import shard_key, shard_samples
from tuwen.proof.index import IndexWriter, Rows, indexed
from tuwen.proof.streamed import Streamed


@dataclass(frozen=True)
class ClipBenchmark:
    """One test set. Classes are the column `label`, and the text of an image; captions are its texts.

    `evaluations()`: how it is tested. Classes: share of images that are told by name, each class' vector the mean over
    the set's prompts. Captions: recall at 5 both ways. **Differs from the original:** an image is found by its first
    caption alone.
    """

    folder: str
    split: str = "test"

    def load(self, folder: Path, side: int, *, crop: bool = False, workers: int = 1) -> Streamed:
        """The examples, in the order of shards and samples."""
        place = Path(self.folder) / self.split
        number = lines(self.folder, f"{self.split}/nshards.txt")[0]
        if not number.isdecimal():
            raise UsageError(f"{place / 'nshards.txt'} says {number!r}, which is no number of shards")
        shards = [place / f"{shard}.tar" for shard in range(int(number))]
        classes = [] if self._is_retrieval else lines(self.folder, CLASSES)

        def fill(writer: IndexWriter) -> None:
            for shard in shards:
                writer.files.append(str(shard.resolve()))
                skipped: Counter[str] = Counter()
                writer.add(_rows(shard, len(writer.files) - 1, classes, skipped), skipped)

        index = indexed(folder, ["clip_benchmark", shard_key(shards), classes], ["label"], fill)
        return Streamed(index, side, crop=crop, workers=workers)

    def evaluations(self) -> dict[str, Any]:
        """Parts of tuwen.evaluations by name."""
        if self._is_retrieval:
            return {way: Retrieval(direction=way, k=5) for way in ("image_to_text", "text_to_image")}
        return {"zero_shot": ClassesAndPrompts(self.folder).zero_shot()}

    @property
    def _is_retrieval(self) -> bool:
        path = Path(self.folder) / "dataset_type.txt"
        return path.exists() and path.read_text(encoding="utf-8").strip() == "retrieval"


def _rows(shard: Path, file: int, classes: list[str], skipped: Counter[str]) -> Rows:
    rows: Rows = []
    for name, sample in shard_samples(str(shard), skipped):
        if "image" not in sample:
            skipped["samples without an image"] += 1
            continue
        told = sample.get("cls" if classes else "txt", b"").decode("utf-8", "replace").strip()
        if classes:
            texts = [classes[int(told)]] if told.isdecimal() and int(told) < len(classes) else []
        else:
            texts = [line.strip() for line in told.splitlines() if line.strip()]
        if texts:
            rows.append({"name": name, "file": file, **sample["image"], "texts": texts, "label": texts[0]})
        else:
            skipped["samples without a class" if classes else "samples without a text"] += 1
    return rows
