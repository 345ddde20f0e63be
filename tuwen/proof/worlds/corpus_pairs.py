"""What a corpus says of its images, as the world `manuals` reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tuwen.errors import UsageError

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus
    from tuwen.selections.ledger import Ledger

READ = {
    "pairs": ("pair_id", "document_id", "image_id", "image_ref", "text", "text_source", "language"),
    "documents": ("document_id", "url"),
    "images": ("image_id",),
}
EVERY_PAIR = "every-pair"  # name of the ledger where no selection is asked for
AT_ONCE = 64  # images whose bytes are in memory


def fingerprint(path: str, selection: str | None) -> str:
    """Digest of all that `rows` and `images` read from the corpus at `path`."""
    from tuwen.corpus.corpus import Corpus

    corpus = Corpus.open(path)
    told = [f"{table}.{name} {corpus.content(table, name)}" for table, names in _read(corpus).items() for name in names]
    told.append(_ledger(corpus, selection).fingerprint)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def rows(path: str, selection: str | None, languages: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Pairs with a text and an image, by id: `pair_id`, `image_id`, `text`, `text_source`, `language` (empty: not
    known) and `host`, that of the page, else of the image. `selection`: only those that it keeps; `languages`:
    only texts in them, if there are any. What was taken down is left out."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.corpus.tables import host_sql

    corpus = Corpus.open(path)
    read = _read(corpus)
    for name, stage in (("image_id", "pair.resolve"), ("language", "text.language")):
        if name not in read["pairs"] and (name == "image_id" or languages):
            raise UsageError(f"{path}: the pairs have no column {name}; add {stage} to the recipe and run tuwen build")
    language = "coalesce(pair.language, '')" if "language" in read["pairs"] else "''"
    hosts = [f"nullif({host_sql(url)}, '')" for url in ("document.url", "pair.image_ref")]
    query = (
        f"select pair_id, image_id, trim(text) as text, text_source, {language} as language, "
        f"coalesce({', '.join(hosts)}, '') as host from pairs as pair join images using (image_id) "
        "left join documents as document using (document_id) "
        "where trim(text) <> '' and pair_id in (select id from kept) order by pair_id"
    )
    with corpus.connect() as connection:
        for table, names in read.items():
            connection.register(table, corpus.stored(table, names))
        connection.register("kept", _ledger(corpus, selection).kept())
        found = connection.sql(query).to_arrow_table().to_pylist()
    return [each for each in found if not languages or each["language"] in languages]


def images(path: str, ids: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """Ids with the bytes of these images."""
    from tuwen.corpus.corpus import Corpus

    corpus = Corpus.open(path)
    for start in range(0, len(ids), AT_ONCE):
        yield from zip(ids[start : start + AT_ONCE], corpus.images(ids[start : start + AT_ONCE]), strict=True)


def _ledger(corpus: Corpus, selection: str | None) -> Ledger:
    """What the selection keeps; without one, all that has not been taken down."""
    from tuwen.selections.ledger import Ledger
    from tuwen.selections.selection import Selection, selection_named, selections_of

    if selection is None:
        return Ledger.open_or_judge(corpus, Selection(EVERY_PAIR, "pair"))
    selections = selections_of(corpus)
    chosen = selection_named(selections, selection)
    if chosen.unit != "pair":
        raise UsageError(f"selection {selection} keeps {chosen.table}; examples are pairs of an image and a text")
    return Ledger.open_or_judge(corpus, chosen, selections)


def _read(corpus: Corpus) -> dict[str, list[str]]:
    """Columns of tables that are read, as far as they are there and up to date."""
    there = {table: corpus.current_columns(table) for table in READ}
    return {table: [name for name in names if name in there[table]] for table, names in READ.items()}
