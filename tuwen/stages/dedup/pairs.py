"""Pairs that are near-duplicates in image and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.dedup.clusters import columns_of

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

_CLUSTERS = """
select md5_number_lower(text_cluster || ' ' || image_cluster) as key,
    min(pair_id) as cluster, count(*)::int as cluster_size
from pairs join images using (image_id)
where text_cluster is not null and image_cluster is not null
group by text_cluster, image_cluster
having count(*) > 1
order by key
"""


@dataclass(frozen=True)
class Pairs:
    """Clusters of pairs: those whose images are of one cluster and whose texts are of one cluster.

    `pair_cluster`       smallest pair id of the cluster; its own where no other pair has both; null where the text's
                         or the image's cluster is
    `pair_cluster_size`  pairs in it, 1 and more

    Read from `text_cluster` (`dedup.text`) and `image_cluster` (`dedup.images`), so that the same picture under another
    caption, and the same caption under another picture, stay. Image-text pairs by both sides, as duplicates of URL and
    text are in LAION-5B: Schuhmann et al. 2022. https://arxiv.org/abs/2210.08402
    """

    table = "pairs"
    kind = "corpus"
    reads = ("pair_id", "text_cluster", "image.image_cluster")
    surveys = ("pairs.pair_id", "pairs.text_cluster", "pairs.image_id", "images.image_id", "images.image_cluster")
    writes = pa.schema([("pair_cluster", pa.string()), ("pair_cluster_size", pa.int32())])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        columns = {"pairs": ["pair_id", "text_cluster", "image_id"], "images": ["image_id", "image_cluster"]}
        return corpus.sql(_CLUSTERS, columns)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        both = pc.binary_join_element_wise(batch["text_cluster"], batch["image.image_cluster"], " ")
        return columns_of(state, batch["pair_id"], self.writes, both)
