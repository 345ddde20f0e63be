"""Texts that stand in benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.stages.overlap.benchmark import content_hash
from tuwen.stages.overlap.benchmark_texts import SUFFIXES, WRITES, benchmark_state, overlap
from tuwen.stages.overlap.grams import check_lengths

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

NAME = "overlap.texts"


@dataclass(frozen=True)
class Texts:
    """How much of a text also stands in a folder of benchmarks, by runs of 13 words.

    `evaluation_text`        path, in `folder`, of the file with most runs of the text; null where none has one
    `evaluation_text_share`  share of the text's runs that stand in any of the files, 0 to 1; 0 for a text too short
    `num_evaluation_texts`   items in the folder that it was compared with

    All null where the text is. A run has `num_words` words; a text of fewer is one run by itself, so it is found where
    it equals a whole item, and one of fewer than `min_words` ("a dog", "yes") is never found. Case, punctuation, width
    of letters and white space do not count. A character of a script written without spaces (Chinese, Japanese, Thai,
    Lao, Khmer, Burmese) counts half a word: runs of 26, whole texts from 10.

    `folder` is searched, at any depth, for `.txt` (every line is an item; runs of words go on over the ends of lines),
    `.jsonl`, `.ndjson`, `.json` and `.parquet` (every string at any depth is an item), `.csv` and `.tsv` (every field
    below the header is one), in UTF-8. The state has 12 bytes for each distinct run.

    Source: Brown et al. 2020, appendix C. https://arxiv.org/abs/2005.14165

    **Differs from the paper:** runs are 13 words for every benchmark, and nothing is cut out of a text.
    """

    table = "pairs"
    kind = "corpus"
    surveys = ()
    reads = ("text",)
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
        rows = np.arange(batch.num_rows)
        columns = overlap(state, batch["text"], rows, batch["text"].is_valid(), self.num_words, self.min_words)
        return pa.record_batch(columns, schema=self.writes)
