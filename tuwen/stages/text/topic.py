"""What texts are about, told from their vectors alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.stages.topics import check, fit_topics, topics_of

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Topic:
    """The group of texts, by k-means over `text_embedding`, that a text is nearest to.

    `text_topic`             number of the group, from 0; null without an embedding
    `text_topic_similarity`  cosine of the text to the middle of its group

    Fitted to a sample of 256 texts a topic (those with the smallest hashes of their pairs' ids), and kept until
    `--refit`. There are fewer than `topics` where there are fewer than ten texts for each. Memory while fitting: the
    sample, 4 bytes per dimension. `pair.retrieval` searches within these groups.
    `pip install 'tuwen[classifier]'` brings what fitting needs.

    Sentences in clusters, for retrieval and for balance: https://arxiv.org/abs/2502.12513, section 3.
    """

    topics: int = 1_000
    seed: int = 0

    table = "pairs"
    kind = "fitted"
    reads = ("text_embedding",)
    surveys = ("pairs.pair_id", "pairs.text_embedding")
    writes = pa.schema([("text_topic", pa.int32()), ("text_topic_similarity", pa.float32())])

    def __post_init__(self) -> None:
        check(self.topics, self.seed)

    def prepare(self, corpus: Corpus) -> pa.Table:
        return fit_topics(corpus, "pairs", "pair_id", "text_embedding", self.topics, self.seed)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        return topics_of(batch["text_embedding"], state, self.writes)
