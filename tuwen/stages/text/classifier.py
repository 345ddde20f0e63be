"""Quality of a text by a classifier that is trained on a few hundred labels."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.errors import UsageError
from tuwen.models.characters import normal
from tuwen.models.text_classifier import score, train

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

LONGEST = 1_000
_TRUE, _FALSE = frozenset(("1", "true", "yes", "1.0")), frozenset(("0", "false", "no", "0.0"))


@dataclass(frozen=True)
class Classifier:
    """How likely a text is of the positive class, by labels of the user's: good or bad, advertisement, spam.

    `classifier_score`  probability of the positive class, 0 to 1, as balanced between the classes; null without a
                        visible character, and where nothing was learnt

    Labels come from column `labels` of the pairs, which `tuwen join` brought, or from the file `labelled`: JSONL or CSV
    with
    `text` and `label`. A label is a boolean, 0 or 1, or, with `positive`, a class name, of which that one is positive;
    a null is no label. A text with both labels counts by the majority, and not at all at a draw.

    Logistic regression over 2^16 hashed features, sequences of one to four characters and words, by scikit-learn:
    `pip install 'tuwen[classifier]'` where it is trained; scoring needs numpy only. The state is the weights (256 kB)
    with
    `auc`, the area under the ROC curve over five folds, and the number of texts of each class; it is kept until
    --refit. Quality classifiers over web text: https://arxiv.org/abs/2005.14165, appendix A; for advertisements,
    WanJuan: https://arxiv.org/abs/2308.10755. **Differs from the paper:** a few hundred labels instead of a reference
    corpus.
    """

    table = "pairs"
    kind = "fitted"
    reads = ("text",)
    writes = pa.schema([("classifier_score", pa.float32())])

    labels: str = "label"
    positive: str | None = None
    labelled: str | None = None

    def __post_init__(self) -> None:
        if self.labelled is not None and not Path(self.labelled).is_file():
            raise ValueError(f"labelled: {self.labelled!r} is no file; name a JSONL or CSV file with text and label")

    @property
    def surveys(self) -> tuple[str, ...]:
        """The texts and their labels; nothing of the corpus where a file has them."""
        return () if self.labelled else ("pairs.text", f"pairs.{self.labels}")

    def model_hash(self) -> str:
        """SHA-256 of the labelled file."""
        return hashlib.sha256(Path(self.labelled).read_bytes()).hexdigest() if self.labelled else ""

    def prepare(self, corpus: Corpus) -> pa.Table:
        where = self.labelled or f"column {self.labels!r} of the pairs"
        rows = _of_file(Path(self.labelled)) if self.labelled else self._of_corpus(corpus)
        votes: dict[str, int] = {}
        for text, label in rows:
            if text and (is_positive := self._is_positive(label, where)) is not None:
                votes[text] = votes.get(text, 0) + (1 if is_positive else -1)
        texts = sorted(text for text, vote in votes.items() if vote)
        truth = [votes[text] > 0 for text in texts]
        if len(set(truth)) < 2:
            raise UsageError(
                f"{where} has {sum(truth)} positive and {truth.count(False)} negative texts; a classifier needs "
                "both, some hundreds of each"
            )
        weights, intercept, auc = train(texts, truth)
        numbers = {"intercept": intercept, "auc": auc, "num_positive": sum(truth), "num_negative": truth.count(False)}
        columns = {"weights": pa.array([weights], pa.list_(pa.float32()))}
        return pa.table(columns | {name: [value] for name, value in numbers.items()})

    def _of_corpus(self, corpus: Corpus) -> Iterator[tuple[str | None, Any]]:
        for batch in corpus.scan("pairs", ["text", self.labels]):
            labelled = batch.filter(pc.is_valid(batch[self.labels]))
            yield from zip(
                normal(labelled["text"], LONGEST).to_pylist(), labelled[self.labels].to_pylist(), strict=True
            )

    def _is_positive(self, label: Any, where: str) -> bool | None:
        if label is None or label == "":
            return None
        if self.positive is not None:
            return str(label) == self.positive
        word = str(label).strip().lower()
        if word not in _TRUE | _FALSE:
            raise UsageError(f"{where}: label {label!r} is not true or false; say which class is `positive`")
        return word in _TRUE

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        texts = normal(batch["text"], LONGEST).dictionary_encode()
        distinct = texts.dictionary.to_pylist()
        if state.num_rows == 0 or not distinct:
            return pa.record_batch([pa.nulls(batch.num_rows, pa.float32())], schema=self.writes)
        weights = state["weights"].chunk(0).flatten().to_numpy()
        scores = score(distinct, weights, state["intercept"][0].as_py())
        empty = np.array([not text for text in distinct])
        return pa.record_batch([pa.array(scores, pa.float32(), mask=empty).take(texts.indices)], schema=self.writes)


def _of_file(path: Path) -> Iterable[tuple[str | None, Any]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        rows = (
            list(csv.DictReader(lines))
            if path.suffix == ".csv"
            else [json.loads(line) for line in lines if line.strip()]
        )
        texts = pa.array([row["text"] for row in rows], pa.string())
        return list(zip(normal(texts, LONGEST).to_pylist(), [row["label"] for row in rows], strict=True))
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__}: {error}); each row needs text and label, as JSONL or CSV"
        ) from error
