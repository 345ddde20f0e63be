"""Documents that hold texts of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.nodes import flatten
from tuwen.stages.overlap.benchmark import content_hash
from tuwen.stages.overlap.benchmark_texts import SUFFIXES, WRITES, benchmark_state, overlap
from tuwen.stages.overlap.grams import check_lengths

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

NAME = "overlap.documents"


@dataclass(frozen=True)
class Documents:
    """How much of a document also stands in a folder of benchmarks, by runs of 13 words within its nodes.

    `evaluation_text`        path, in `folder`, of the file with most runs of the document; null where none has one
    `evaluation_text_share`  share of the document's runs that stand in any of the files, 0 to 1
    `num_evaluation_texts`   items in the folder that it was compared with

    All null where the document has no nodes at all. Each node is a text by itself; runs, the shortest texts and the
    files that are read are those of `overlap.texts`. Source: Brown et al. 2020, appendix C. https://arxiv.org/abs/2005.14165

    **Differs from the paper:** runs are 13 words for every benchmark, and nothing is cut out of a document.
    """

    table = "documents"
    kind = "corpus"
    surveys = ()
    reads = ("nodes",)
    writes = WRITES

    folder: str
    num_words: int = 13
    min_words: int = 5

    def __post_init__(self) -> None:
        check_lengths(self.num_words, self.min_words)

    def model_hash(self) -> str:
        return content_hash(self.folder, SUFFIXES, NAME)

    def prepare(self, corpus: Corpus) -> pa.Table:
        return benchmark_state(self.folder, self.num_words, self.min_words, NAME)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        nodes, rows = flatten(batch["nodes"])
        texts = pc.struct_field(nodes, "text")
        known = batch["nodes"].is_valid()
        columns = overlap(state, texts, rows.to_numpy(), known, self.num_words, self.min_words)
        return pa.record_batch(columns, schema=self.writes)
