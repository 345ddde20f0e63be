"""The concepts that a text mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.stages.concepts.builder import build_entries
from tuwen.stages.concepts.entries import check_name, digest_of, read_entries
from tuwen.stages.concepts.matcher import Matcher, make_index

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

_latest: tuple[pa.Table, bool, Matcher] | None = None  # of this process: the next batch comes with the same state


@dataclass(frozen=True)
class Match:
    """Which entries of a list occur in the text.

    `concepts`  names of the concepts that the text mentions, ascending, each once; empty where it mentions none, null
                where the text is null

    `entries` is a file of entries and synonyms (`tuwen/stages/concepts/entries.py` says which are read). Without one
    the entries are made from the corpus by `builders`: words and pairs of words that occur at least `min_count` times,
    pairs with `min_pmi` bits of mutual information, and page titles; in scripts without spaces, runs of characters that
    hold together and stand free, of which little text needs fewer (`tuwen/stages/concepts/builder.py`). The entries
    then stay as they are until `tuwen build --refit`; a file's stay until it changes.

    Case, compatibility forms, hyphens and white space make no difference. An entry matches at word boundaries, in
    scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese …) anywhere; entries within others count too.
    Of a text, the first 2^20 characters take part. `fold_chinese` takes traditional characters for simplified ones; it
    needs the extra `chinese`.
    Memory: about 60 bytes an entry, mapped from one file by all workers, and 8 an entry in each.

    Source: MetaCLIP, Xu et al. 2023, https://arxiv.org/abs/2309.16671, section 3.1.
    **Differs from the paper:** its entries are WordNet's synsets and Wikipedia's words (100 times and more), pairs (PMI
    of 30 on a scale of its own) and titles; here they come from the corpus, or from a file such as its metadata.json.
    Words are cut at every punctuation mark, hyphens included, and case is folded; there only at some, and it is not.
    """

    entries: str | None = None
    builders: tuple[Literal["unigrams", "bigrams", "titles"], ...] = ("unigrams", "bigrams", "titles")
    min_count: int = 5
    min_pmi: float = 5.0
    fold_chinese: bool = False

    version = 2
    table = "pairs"
    kind = "fitted"
    reads = ("text",)
    surveys = ("pairs.text", "documents.title")
    writes = pa.schema([("concepts", pa.list_(pa.string()))])

    def __post_init__(self) -> None:
        if self.entries is not None:
            check_name(self.entries)
        elif not self.builders:
            raise ValueError("name a file of entries, or at least one of the builders unigrams, bigrams, titles")
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {self.min_count}")

    def model_hash(self) -> str:
        """Digest of the file of entries; empty where they come from the corpus."""
        return digest_of(self.entries) if self.entries is not None else ""

    def prepare(self, corpus: Corpus) -> pa.Table:
        if self.entries is not None:
            index = make_index(read_entries(self.entries), fold_chinese=self.fold_chinese)
            if not index.num_rows:
                raise UsageError(f"{self.entries} holds no entry with a letter, digit or symbol; give one entry a line")
            return index
        built = build_entries(corpus, self.builders, self.min_count, self.min_pmi, fold_chinese=self.fold_chinese)
        return make_index(((entry, ()) for entry in built), fold_chinese=self.fold_chinese)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        matched = matcher_of(state, self.fold_chinese).concepts(batch["text"].to_pylist())
        return pa.record_batch([matched], schema=self.writes)


def matcher_of(state: pa.Table, fold_chinese: bool) -> Matcher:
    """The matcher over a state, kept while the same table comes."""
    global _latest
    if _latest is None or _latest[0] is not state or _latest[1] != fold_chinese:
        _latest = (state, fold_chinese, Matcher(state, fold_chinese=fold_chinese))
    return _latest[2]
