"""Near-duplicate texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.stages.dedup.clusters import columns_of
from tuwen.stages.dedup.minhash import MinHash

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Text:
    """Clusters of texts that say the same in nearly the same words, by MinHash with verification.

    `text_cluster`       smallest pair id of the cluster; its own where no other is near; null without a text
    `text_cluster_size`  pairs in it, 1 and more

    Two texts are near if the Jaccard similarity of their shingles is at least `threshold`, and with `same_numbers`
    only if their digits are the same in the same order: "Figure 3.1" is not "Figure 3.2". A shingle holds `ngram` words
    or about as much of a script without spaces (`tuwen/stages/dedup/shingles.py`). Case, punctuation, width and
    invisible characters do not count; a text without letters, digits and symbols is a cluster of its own. Linked texts
    are one cluster, so that its ends may be less alike than the threshold.

    The defaults are for captions. Pairs of words keep "dog bites man" from "man bites dog"; at .7 another word inside a
    text links it from 13 words on, another first or last word from 7, as only one pair holds it. 20 × 4 minima find
    .996 of what lies at the threshold, and more above. Memory: 60 bytes a pair, and 180 and 4 a word for each distinct
    text; three times that for a moment (1M captions: 0.9 GB in all).

    Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900; near-duplicate texts in training corpora: Lee et al. 2022,
    https://arxiv.org/abs/2107.06499. **Differs from the paper:** candidates are compared by all their shingles and not
    by edit distance, and numbers are respected.
    """

    ngram: int = 2
    threshold: float = 0.7
    bands: int = 20
    rows: int = 4
    same_numbers: bool = True

    table = "pairs"
    kind = "corpus"
    reads = ("pair_id",)
    surveys = ("pairs.pair_id", "pairs.text")
    writes = pa.schema([("text_cluster", pa.string()), ("text_cluster_size", pa.int32())])

    def __post_init__(self) -> None:
        self._method()

    def _method(self) -> MinHash:
        return MinHash(self.ngram, self.threshold, self.bands, self.rows, self.same_numbers)

    def prepare(self, corpus: Corpus) -> pa.Table:
        scanned = corpus.scan("pairs", ["pair_id", "text"])
        return self._method().state((batch["pair_id"], batch["text"]) for batch in scanned)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        return columns_of(state, batch["pair_id"], self.writes)
