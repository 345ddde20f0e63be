"""What images are about, told from their vectors alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.stages.topics import check, fit_topics, topics_of

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Topic:
    """The group of images, by k-means over `embedding`, that an image is nearest to.

    `image_topic`             number of the group, from 0; null without an embedding
    `image_topic_similarity`  cosine of the image to the middle of its group

    Fitted to a sample of 256 images a topic (those with the smallest hashes of their ids), and kept until `--refit`, so
    that a corpus that grows keeps its topics. There are fewer than `topics` where there are fewer than ten images for
    each. Memory while fitting: the sample, 4 bytes per dimension. `image.topic_name` says what the groups are about;
    `quota` and `balance` with `of: image.image_topic` cap them, and `dedup.semantic` looks for doubles within them.
    `pip install 'tuwen[classifier]'` brings what fitting needs.

    Clusters of embeddings to balance a web corpus: https://arxiv.org/abs/2405.15613, section 3.
    """

    topics: int = 1_000
    seed: int = 0

    table = "images"
    kind = "fitted"
    reads = ("embedding",)
    surveys = ("images.image_id", "images.embedding")
    writes = pa.schema([("image_topic", pa.int32()), ("image_topic_similarity", pa.float32())])

    def __post_init__(self) -> None:
        check(self.topics, self.seed)

    def prepare(self, corpus: Corpus) -> pa.Table:
        return fit_topics(corpus, "images", "image_id", "embedding", self.topics, self.seed)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        return topics_of(batch["embedding"], state, self.writes)
