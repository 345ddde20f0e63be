"""Paragraphs that another page said before."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import find_unique, keys_of
from tuwen.stages.nodes import flatten, sum_by_row

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Paragraphs:
    """Which paragraphs of a document stand in an earlier one as well, word for word.

    `duplicate_paragraphs`       places in `nodes` of these paragraphs, ascending; null where `nodes` is
    `duplicate_paragraph_share`  their share of the characters of all paragraphs, 0 to 1; null without paragraphs

    A paragraph is a node of kind `text` in the region `main`, compared after NFKC, case folding and joining of white
    space. It belongs to the document of the smallest id that holds it, whatever a selection makes of that one, and to
    the other captures of that page (URL without its fragment); in all others it is a duplicate. Repetition inside a
    page is none. Memory: 20 bytes for each paragraph. Exact removal of repeated paragraphs: Wenzek et al. 2020 (CCNet),
    https://arxiv.org/abs/1911.00359. **Differs from the paper:** the first occurrence is told from the others, over the
    whole corpus.
    """

    table = "documents"
    kind = "corpus"
    reads = ("document_id", "url", "nodes")
    surveys = ("documents.document_id", "documents.url", "documents.nodes")
    writes = pa.schema([("duplicate_paragraphs", pa.list_(pa.int32())), ("duplicate_paragraph_share", pa.float32())])

    def prepare(self, corpus: Corpus) -> pa.Table:
        ids, pages, keys, rows = [pa.array([], pa.string())], [], [], []
        num_documents = 0
        for batch in corpus.scan("documents", ["document_id", "url", "nodes"]):
            texts, _, parents = _paragraphs(batch["nodes"])
            ids.append(batch["document_id"])
            pages.append(_pages(batch))
            keys.append(keys_of(texts))
            rows.append(parents + num_documents)
            num_documents += batch.num_rows
        if not num_documents:
            return _state(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint64))
        order = pc.sort_indices(pa.concat_arrays(ids)).to_numpy()
        ranks = np.empty(num_documents, dtype=np.int64)
        ranks[order] = np.arange(num_documents)
        key, rank = np.concatenate(keys), ranks[np.concatenate(rows)]
        page = np.concatenate(pages)[order]
        by_key = np.lexsort([rank, key])
        key, page = key[by_key], page[rank[by_key]]
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])[: len(key)])
        sizes = np.diff(np.concatenate([first, [len(key)]]))
        elsewhere = page != np.repeat(page[first], sizes)
        shared = np.add.reduceat(elsewhere, first) > 0 if len(first) else np.zeros(0, dtype=bool)
        return _state(key[first][shared], page[first][shared])

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        texts, places, parents = _paragraphs(batch["nodes"])
        found, (page,) = find_unique(state, texts, [1])
        duplicate = (found >= 0) & (page.fill_null(0).to_numpy() != _pages(batch)[parents])
        lengths, rows = pc.utf8_length(texts), pa.array(parents)
        total = sum_by_row(lengths, rows, batch.num_rows)
        repeated = sum_by_row(pc.if_else(pa.array(duplicate), lengths, 0), rows, batch.num_rows)
        counts = np.bincount(parents[duplicate], minlength=batch.num_rows)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        unknown = pc.is_null(batch["nodes"])
        values = pa.array(places[duplicate], pa.int32())
        share = pa.array(repeated / np.maximum(total, 1), pa.float32(), mask=total == 0)
        return pa.record_batch([pa.ListArray.from_arrays(offsets, values, mask=unknown), share], schema=self.writes)


def normalised(paragraph: str) -> str:
    """A paragraph as it is compared: NFKC, case folded, white space joined."""
    return " ".join(unicodedata.normalize("NFKC", paragraph).casefold().split())


def _state(keys: np.ndarray, pages: np.ndarray) -> pa.Table:
    """Paragraphs of several pages: key, ascending, and the page that has it first."""
    return pa.table({"key": pa.array(keys, pa.uint64()), "page": pa.array(pages, pa.uint64())})


def _pages(batch: pa.RecordBatch) -> np.ndarray:
    """A number for the page of each document: its URL without the fragment, or the document where it has none."""
    urls = pc.replace_substring_regex(batch["url"], "#.*", "")
    return keys_of(pc.coalesce(urls, batch["document_id"]))


def _paragraphs(lists: pa.ListArray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Paragraphs that are not empty, normalised; the place of each in its document's nodes; its document's row."""
    nodes, rows = flatten(lists)
    parents = rows.to_numpy(zero_copy_only=False).astype(np.int64)
    places = np.arange(len(parents)) - np.searchsorted(parents, parents)
    kind, region = pc.struct_field(nodes, "kind"), pc.struct_field(nodes, "region")
    prose = pc.fill_null(pc.and_(pc.equal(kind, "text"), pc.equal(region, "main")), False).to_numpy(
        zero_copy_only=False
    )
    texts = pc.struct_field(nodes, "text").filter(pa.array(prose)).to_pylist()
    normal = pa.array([normalised(text or "") for text in texts], pa.string())
    said = pc.greater(pc.utf8_length(normal), 0).to_numpy(zero_copy_only=False)
    return normal.filter(pa.array(said)), places[prose][said], parents[prose][said]
