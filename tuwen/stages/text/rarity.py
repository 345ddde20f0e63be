"""How rare the rarest word of a text is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

# Words and pairs of words are numbers as soon as they are cut out; distinct ones of a text, however often it stands
# there.
_COUNTS = r"""
with cut as (
    select md5_number_lower(text) as key, regexp_extract_all(lower(nfc_normalize(text)),
        '[\p{Han}\p{Hiragana}\p{Katakana}ー]|[^\P{L}\p{Han}\p{Hiragana}\p{Katakana}ー]'
        || '(?:[\p{M}\p{N}_''’-]|[^\P{L}\p{Han}\p{Hiragana}\p{Katakana}ー])*|\p{N}+') as words
    from pairs where text is not null
),
steps as (select key, unnest(words) as word, unnest(words[2:]) as next from cut),
grams as (
    select key, hash(word) as gram, false as is_pair from steps
    union all
    select key, hash(word, next), true from steps where next is not null
),
rows as (select distinct key, gram, is_pair from grams),
counts as (select gram, is_pair, count(*) as num_texts from rows group by gram, is_pair),
rarest as (
    select key, min(num_texts) filter (not is_pair) as unigram, min(num_texts) filter (is_pair) as bigram
    from rows join counts using (gram, is_pair) group by key
)
select key, unigram::int as unigram, bigram::int as bigram from rarest order by key
"""


@dataclass(frozen=True)
class Rarity:
    """The rarest word and the rarest pair of neighbouring words of a text, by how many texts of the corpus have them.

    `rarest_unigram_count`  distinct texts with the rarest word of this text, itself among them: 1 and more
    `rarest_bigram_count`   as that, for two words in a row; null for a text of one word

    Lower case, NFC. A Han character or a kana is a word; Thai and its like, written without spaces, come by phrase and
    are rare always. Null for texts without letters and digits. ALIGN drops texts with a word or pair of words that is
    not among the 100 million most frequent of its raw data: https://arxiv.org/abs/2102.05918. **Differs from the
    paper:** counts instead of ranks, and of distinct texts, so that a page's title beside each of its images counts
    once.

    The state takes 16 bytes per distinct text. The counting, 17 bytes per word of the distinct texts, spills to disk.
    """

    table = "pairs"
    kind = "corpus"
    reads = ("text",)
    surveys = ("pairs.text",)
    writes = pa.schema([("rarest_unigram_count", pa.int32()), ("rarest_bigram_count", pa.int32())])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return corpus.sql(_COUNTS, {"pairs": ["text"]})

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        _, counts = find_unique(state, batch["text"], [1, 2])
        return pa.record_batch(counts, schema=self.writes)
