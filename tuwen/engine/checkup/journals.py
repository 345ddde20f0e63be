"""What runs had begun and not ended, and journals that do not say what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuwen.corpus.corpus import CREATING, Corpus
from tuwen.corpus.indexes import JOURNAL as INDEX
from tuwen.corpus.journal import Journal
from tuwen.corpus.rewriting import CLEANING, REWRITING, begin
from tuwen.corpus.rewriting import JOURNAL as PURGE
from tuwen.corpus.units import APPEND_ORDER
from tuwen.corpus.units import JOURNAL as UNIT
from tuwen.engine.checkup.files import size_of
from tuwen.engine.checkup.finding import Finding
from tuwen.engine.gc import JOURNAL as GC
from tuwen.errors import TuwenError


def check_journals(corpus: Corpus) -> Iterator[Finding]:
    """What killed runs had begun."""
    path = corpus.path
    if (path / CREATING).exists():
        yield Finding(
            "unfinished", CREATING, "the corpus was not made to its end", "the next tuwen build goes on with it"
        )
    for journal, told in ((INDEX, _index), (PURGE, _purge), (UNIT, _unit)):
        try:
            begun = journal.begun(corpus)
            if begun is not None and begun.get("phase", REWRITING) == REWRITING and "tables" in begun:
                journal.earlier(corpus, begun)  # are they still there?
        except TuwenError:
            begun = {}
        if begun is not None:
            yield told(corpus, begun)
    if (path / GC).exists():
        yield Finding("unfinished", GC, "tuwen gc was cut off", "tuwen gc goes on with it")
    spooled = sorted([*path.glob("fetching/*.open"), *path.glob("fetching/*.sealed")])
    if spooled:
        yield Finding(
            "unfinished",
            "fetching",
            f"{len(spooled)} files of finished attempts that no build has added",
            "the next tuwen build adds them",
            num_bytes=sum(map(size_of, spooled)),
        )


def _index(corpus: Corpus, begun: Mapping[str, Any]) -> Finding:
    if begun:
        advice = "tuwen repair (or the next build) removes its files"
        return Finding("unfinished", INDEX.name, "an index was being made", advice, "sweep_index")
    return _damaged(
        INDEX,
        "which index was being made",
        "an index holds nothing that the tables do not: tuwen repair removes this and the files that no table names; "
        "tuwen search DIR --index makes what is missing",
        "remove",
    )


def _purge(corpus: Corpus, begun: Mapping[str, Any]) -> Finding:
    if begun:
        rewriting = begun["phase"] == REWRITING
        return Finding(
            "unfinished",
            PURGE.name,
            "a purge was cut off " + ("before all tables were rewritten" if rewriting else "while it cleaned up"),
            "tuwen repair puts the tables back; then purge again" if rewriting else "tuwen purge goes on with it",
            "recover" if rewriting else None,
        )
    return _damaged(
        PURGE,
        "how far a purge had come",
        "purging twice does no harm: tuwen repair notes that it is not done, then tuwen purge removes what is left and "
        "all earlier versions; tuwen search DIR --index makes indexes that are missing",
        "purge_anew",
    )


def _unit(corpus: Corpus, begun: Mapping[str, Any]) -> Finding:
    if begun:
        return Finding(
            "unfinished",
            UNIT.name,
            f"the unit {begun['source_unit']} was being appended when a run was killed",
            "tuwen repair (or the next build) puts the tables back as they were before it, if it is not sealed",
            "recover",
        )
    told = "which unit was being appended when a run was killed"
    if _all_sealed(corpus):
        advice = "all rows belong to sealed units, so nothing is to be put back: tuwen repair removes it"
        return _damaged(UNIT, told, advice, "remove")
    return _damaged(
        UNIT, told, "put back a copy, or build the corpus anew: there are rows of a unit that is not sealed", None
    )


def _damaged(journal: Journal, told: str, advice: str, action: str | None) -> Finding:
    return Finding("damaged_json", journal.name, f"it does not say {told}", advice, action, (journal.name,))


def _all_sealed(corpus: Corpus) -> bool:
    columns = ["source", "source_unit"]
    for table in APPEND_ORDER:
        query = f"SELECT 1 FROM {table} ANTI JOIN units USING (source, source_unit) LIMIT 1"
        try:
            if corpus.sql(query, {table: columns, "units": columns}).read_all().num_rows:
                return False
        except TuwenError:  # a table that cannot be opened, which is told too
            return False
    return True


def purge_anew(corpus: Corpus) -> None:
    """Note, in the place of a damaged journal, that the next purge has to clean up: it then removes what is left.

    Which states were fitted to rows that are gone is not known, so all are named.
    """
    fitted = {path.stem.rpartition("-")[0] for path in (corpus.path / "states").glob("*.arrow")}
    begin(corpus, [], phase=CLEANING, indexes=[], fitted=sorted(fitted))
