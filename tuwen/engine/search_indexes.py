"""Making the indexes that searches use."""

from __future__ import annotations

from pathlib import Path

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import IndexState, build_index, remove_rubbish, vector_columns
from tuwen.corpus.versions import tag_version
from tuwen.engine.search_vectors import vector_column


def make_indexes(path: str | Path | Corpus, column: str | None = None) -> list[IndexState]:
    """Index the texts of pairs and all columns of vectors (or `column` alone), or bring their indexes up to date.

    Under the corpus' lock. What is up to date costs nothing. The corpus gets a version of its own.
    """
    corpus = path if isinstance(path, Corpus) else Corpus.open(path)
    if column is not None:
        found = vector_column(corpus, column)
        chosen = [(found.table, found.column)]
    else:
        chosen = [("pairs", "text"), *vector_columns(corpus)]
    with corpus.writing():
        remove_rubbish(corpus)
        made = [build_index(corpus, *each) for each in chosen if corpus.count(each[0])]
        tag_version(corpus, "index")
    return made
