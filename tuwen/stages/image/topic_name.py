"""What the topics of images are about, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

_STATE = pa.schema([("key", pa.uint64()), ("names", pa.list_(pa.string()))])


@dataclass(frozen=True)
class TopicName:
    """The concepts that the texts of a topic's images mention more often than those of other images.

    `image_topic_name`  up to `words` concepts, the most telling first; empty where nothing stands out; null without a
                        topic

    A concept (`concepts.match`) counts once per image that any of whose texts mention it. It tells much where many
    images of the topic mention it and few others do: n * log(lift), with n the topic's images that mention it, and
    lift their share divided by the share among all images with texts. At least `min_images` have to mention it, at
    least `min_lift` times as often as among all. Names describe a topic; they are no labels of its images.

    Pointwise mutual information, weighted by frequency: Church & Hanks 1990, https://aclanthology.org/J90-1003/
    """

    words: int = 3
    min_images: int = 2
    min_lift: float = 1.5

    table = "images"
    kind = "corpus"
    reads = ("image_topic",)
    surveys = ("images.image_id", "images.image_topic", "pairs.image_id", "pairs.concepts")
    writes = pa.schema([("image_topic_name", pa.list_(pa.string()))])

    def __post_init__(self) -> None:
        if min(self.words, self.min_images) < 1:
            raise ValueError(f"words and min_images must be at least 1, got {self}")
        if not self.min_lift >= 1:
            raise ValueError(f"min_lift must be at least 1, got {self.min_lift}")

    def prepare(self, corpus: Corpus) -> pa.Table:
        query = f"""
            with mentions as (
                select distinct image_topic, i.image_id, unnest(concepts) as concept
                from pairs p join images i using (image_id) where image_topic is not null),
            counted as (select image_topic, concept, count(*) as n from mentions group by all),
            topics as (select image_topic, count(distinct image_id) as size from mentions group by all),
            concepts as (select concept, sum(n) as everywhere from counted group by all),
            scored as (
                select image_topic, concept, n, (n / size) / (everywhere / (select sum(size) from topics)) as lift
                from counted join topics using (image_topic) join concepts using (concept))
            select md5_number_lower(image_topic::varchar) as key,
                (list(concept order by n * ln(lift) desc, concept))[:{self.words}] as names
            from scored where n >= {self.min_images} and lift >= {self.min_lift} group by image_topic order by key"""
        columns = {"images": ["image_id", "image_topic"], "pairs": ["image_id", "concepts"]}
        return corpus.sql(query, columns).read_all().cast(_STATE)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        topics = batch["image_topic"]
        _, (names,) = find_unique(state, topics.cast(pa.string()), [1])
        found = names.fill_null([]) if state.num_rows else pa.array([[]] * len(topics), pa.list_(pa.string()))
        known = pa.compute.if_else(topics.is_valid(), found, None)
        return pa.record_batch([known.cast(pa.list_(pa.string()))], schema=self.writes)
