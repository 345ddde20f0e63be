"""Searching a corpus by words, meaning, image or row, or by a weighted mix, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import index_state
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search_rankings import Neighbours, Ranked, Ranking, Texts, Words
from tuwen.engine.search_request import COLLAPSE, TOP, Request
from tuwen.engine.search_rows import (
    NOT_SCORED,
    TAKEN_DOWN,
    UNSAFE,
    UNSAFE_COLUMNS,
    UNSAFE_FROM,
    Links,
    Standing,
    described,
    key_of,
    take,
    unit_of,
)
from tuwen.engine.search_vectors import VectorColumn, query_vector, vector_column
from tuwen.errors import UsageError
from tuwen.selections.why import find
from tuwen.stages.dedup.clusters import link

RANK_OFFSET = 60  # of reciprocal rank fusion, as in the paper
MIN_RANKED, MAX_WINDOW = 200, 1_000


@dataclass(frozen=True)
class Hit:
    """A pair or an image that was found, with a text that belongs to it.

    `score`: BM25 for words (above 0), the cosine for vectors (-1 to 1), and for a mix the sum of weight / (60 + rank).
    `scores` holds those of the parts. `num_similar` near-duplicates of it, which answer less well, are not listed.
    """

    id: str
    score: float
    scores: dict[str, float]
    text: str | None
    text_source: str | None
    language: str | None
    source: str | None
    pair_id: str | None
    image_id: str | None
    document_id: str | None
    num_similar: int = 0


@dataclass(frozen=True)
class Found:
    """What came of a search: hits, the best first, of one unit (pair or image).

    `num_unsafe`, `num_taken_down`: rows that would be listed and are not. `num_not_scored`: hits of whose safety
    nothing is known; None where no column tells of any. `notes`: what else to know, in sentences. `complete`: there are
    no other hits; false where there may be.
    """

    unit: str
    hits: list[Hit]
    num_unsafe: int = 0
    num_taken_down: int = 0
    num_not_scored: int | None = None
    notes: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def ids(self) -> list[str]:
        """Ids of the hits, in their order."""
        return [hit.id for hit in self.hits]

    def to_json(self) -> dict[str, Any]:
        """Plain values: `docs/json.md`."""
        return asdict(self)


def search(
    corpus: Corpus | str | Path,
    text: str | None = None,
    *,
    by: str = "words",
    images: Sequence[str | Path] = (),
    ids: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    where: str | None = None,
    unit: str | None = None,
    column: str | None = None,
    model: str | None = None,
    top: int = TOP,
    collapse: float | None = COLLAPSE,
    unsafe: bool = False,
) -> Found:
    """Search a corpus once; what the arguments mean: `tuwen.engine.search_request.Request`. For more: `Searcher`."""
    files, given = tuple(map(str, images)), weights or {}
    request = Request(
        text, by, files, tuple(ids), given, where, unit, column, model, top=top, collapse=collapse, unsafe=unsafe
    )
    return Searcher(corpus).search(request)


@dataclass(frozen=True)
class _Listed:
    """Rows that may be shown, the best first, with the scores of the parts; and those that may not, but would be."""

    rows: list[tuple[str, float, dict[str, float]]]
    complete: bool
    hidden: dict[str, int]  # id → TAKEN_DOWN or UNSAFE
    answering: dict[str, str] = field(default_factory=dict)  # image → the pair by whose text it was found


class Searcher:
    """Searches a corpus as it is when this is made: indexes stay open and warm between searches."""

    def __init__(self, corpus: Corpus | str | Path, links: Links | None = None) -> None:
        """`links`: where rows are, for whoever has that at hand for the corpus as it is now."""
        corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
        self.corpus = corpus.pinned()
        self._links = Links(self.corpus) if links is None else links
        self._texts = Texts(self.corpus)
        self._standing: dict[str, Standing] = {}
        self._columns: dict[str | None, VectorColumn] = {}

    def search(self, request: Request) -> Found:
        """Find what is asked for. `UsageError` for what the corpus cannot answer, with what would let it."""
        rankings = self._rankings(request)
        unit = request.unit or self._unit(request, rankings)
        if unit == "image" and not self._links.known and any(each.unit == "pair" for each, _ in rankings):
            raise UsageError(
                "pairs do not know their images yet; add the stage pair.resolve to the recipe, or find pairs"
            )
        window = request.top * (4 if request.collapse else 1) + len(request.ids)
        while True:
            listed = self._listed(rankings, unit, request, window)
            hits = self._hits(listed, unit, request)
            if len(hits) >= request.top or listed.complete or window >= max(MAX_WINDOW, request.top * 16):
                return self._found(hits, listed, unit, request, rankings)
            window *= 4

    def _rankings(self, request: Request) -> list[tuple[Ranking, float]]:
        rankings: list[tuple[Ranking, float]] = []
        if "words" in request.parts:
            rankings.append((Words(self._texts, request.text or ""), request.weight("words")))
        compared = [part for part in request.parts if part != "words"]
        if compared == ["id"] and request.column is None and not self._has_vectors():
            words = " ".join(self._text(row_id) for row_id in request.ids)
            rankings.append((Words(self._texts, words, name="id"), request.weight("id")))
        elif compared:
            vectors = self._vectors(request.column)
            index = index_state(self.corpus.dataset(vectors.table), vectors.table, vectors.column)
            query = query_vector(self.corpus, vectors, request)
            weight = sum(request.weight(part) for part in compared)
            rankings.append((Neighbours(self.corpus, vectors, index, query), weight))
        return rankings

    def _unit(self, request: Request, rankings: list[tuple[Ranking, float]]) -> str:
        if any(ranking.unit == "pair" for ranking, _ in rankings):
            return "pair"
        return unit_of(self.corpus, request.where)

    def _vectors(self, name: str | None) -> VectorColumn:
        if name not in self._columns:
            self._columns[name] = vector_column(self.corpus, name)
        return self._columns[name]

    def _has_vectors(self) -> bool:
        try:
            self._vectors(None)
        except UsageError:
            return False
        return True

    def _text(self, row_id: str) -> str:
        """The words to find more like a pair by, in a corpus without vectors."""
        kind, key = find(self.corpus, row_id)
        if kind != "pair":
            self._vectors(None)  # says what is missing
        return str(self.corpus.table("pairs", ["text"], f"pair_id = '{key}'")["text"][0].as_py() or "")

    # Ranks ------------------------------------------------------------------------------------------------------

    def _listed(self, rankings: list[tuple[Ranking, float]], unit: str, request: Request, window: int) -> _Listed:
        """The best rows. Several rankings: reciprocal rank fusion, which needs no common scale of scores.

        Cormack et al. 2009, https://doi.org/10.1145/1571941.1572114. **Differs from the paper:** rankings have weights.
        """
        if len(rankings) == 1:
            return self._admitted(rankings[0][0], unit, request, window)
        depth = max(MIN_RANKED, window)
        each = [(self._admitted(ranking, unit, request, depth), weight) for ranking, weight in rankings]
        total: dict[str, float] = {}
        scores: dict[str, dict[str, float]] = {}
        hidden: dict[str, int] = {}
        answering: dict[str, str] = {}
        for listed, weight in each:
            hidden |= listed.hidden
            answering = listed.answering | answering  # by words rather than by vectors
            for rank, (key, _, parts) in enumerate(listed.rows, start=1):
                total[key] = total.get(key, 0.0) + weight / (RANK_OFFSET + rank)
                scores[key] = scores.get(key, {}) | parts
        order = sorted(total, key=lambda key: (-total[key], key))[:window]
        return _Listed([(key, total[key], scores[key]) for key in order], len(total) <= window, hidden, answering)

    def _admitted(self, ranking: Ranking, unit: str, request: Request, window: int) -> _Listed:
        """The best `window` rows of a ranking that may be shown: of its best ones, of more, or if need be of all."""
        first = max(MIN_RANKED, 4 * window) if request.where or ranking.unit != unit else window + window // 2
        for k in (first, 4 * first, 16 * first, None):
            ranked = self._as_unit(ranking.found(k), ranking.unit, unit)
            if request.where:
                ranked = ranked.filtered(self._links.admitted(unit, request.where, ranked.keys))
            codes = self._standing_of(unit).codes(ranked.keys)
            gone = (codes == TAKEN_DOWN) | ((codes == UNSAFE) & (not request.unsafe))
            best = ranked.filtered(~gone).best(window)
            if len(best) == window or ranked.complete:
                break
        left_out = ranked.filtered(gone)
        least = best[-1][1] if len(best) == window else -np.inf
        near = left_out.scores >= least
        hidden = dict(zip(left_out.filtered(near).keys.to_pylist(), codes[gone][near].tolist(), strict=True))
        complete = ranked.complete and len(best) < window
        answering = ranked.answering([key for key, _ in best])
        return _Listed([(key, score, {ranking.name: score}) for key, score in best], complete, hidden, answering)

    def _standing_of(self, unit: str) -> Standing:
        if unit not in self._standing:
            self._standing[unit] = Standing(self.corpus, unit)
        return self._standing[unit]

    def _as_unit(self, ranked: Ranked, have: str, want: str) -> Ranked:
        """Pairs get the score of their image, images the best one of their pairs."""
        if have == want:
            return ranked
        if want == "pair":
            places, rows = self._links.pairs_of(ranked.keys)
            keys = take(self.corpus, "pairs", rows, ["pair_id"])["pair_id"].combine_chunks()
            return Ranked(keys, ranked.scores[places], ranked.complete)
        rows_of_pairs = self._links.rows("pairs", ranked.keys)
        images = take(self.corpus, "pairs", rows_of_pairs, ["image_id"])["image_id"]
        table = pa.table({"key": images, "pair": ranked.keys, "score": ranked.scores}).filter(images.is_valid())
        best = table.group_by("key").aggregate([("score", "max")])
        return Ranked(best["key"].combine_chunks(), best["score_max"].to_numpy(), ranked.complete, table)

    # Hits -------------------------------------------------------------------------------------------------------

    def _hits(self, listed: _Listed, unit: str, request: Request) -> list[Hit]:
        """The best `request.top` hits, near-duplicates put together, without the rows that were asked for."""
        asked = {find(self.corpus, row_id)[1] for row_id in request.ids}
        keys = [key for key, _, _ in listed.rows]
        rows = [{"image_id": key} for key in keys] if unit == "image" else self._described(unit, keys)
        if unit == "pair":
            asked |= {row["image_id"] for row in rows if row["pair_id"] in asked and row["image_id"] is not None}
        scored = [
            (each, row)
            for each, row in zip(listed.rows, rows, strict=True)
            if each[0] not in asked and row["image_id"] not in asked
        ]
        labels = self._labels([row for _, row in scored], request)
        if request.collapse is not None and unit == "pair" and request.parts == ("words",):
            labels = _once_a_document(labels, [row for _, row in scored])
        sizes = np.bincount(labels, minlength=len(scored))
        first = np.flatnonzero(labels == np.arange(len(scored)))[: request.top].tolist()
        found = [scored[place] for place in first]
        if unit == "image":  # the texts of an image are many: only of those that will be shown
            told = self._described(unit, [key for (key, _, _), _ in found], listed.answering)
            found = [(each, row) for (each, _), row in zip(found, told, strict=True)]
        return [
            Hit(key, score, parts, **row, num_similar=int(sizes[place]) - 1)
            for place, ((key, score, parts), row) in zip(first, found, strict=True)
        ]

    def _described(
        self, unit: str, keys: list[str], answering: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        return described(self.corpus, self._links, unit, keys, answering or {})

    def _labels(self, rows: list[dict[str, Any]], request: Request) -> NDArray[np.int64]:
        """For each row the first one that it is a near-duplicate of, through any number of others.

        Near are rows of one image, of images with a cosine of at least `collapse`, and of one text without an image.
        """
        labels = np.arange(len(rows), dtype=np.int64)
        if request.collapse is None or len(rows) < 2:
            return labels
        names = [row["image_id"] or f"text {_folded(row['text'])}" for row in rows]
        _, first, same = np.unique(np.array(names, dtype=object).astype(str), return_index=True, return_inverse=True)
        labels = link(labels, labels, first[same].astype(np.int64))
        column = self._image_vectors(request)
        if column is None:
            return labels
        places = self._links.rows("images", [row["image_id"] for row in rows])
        held = np.flatnonzero(np.array(places) >= 0)
        taken = take(self.corpus, "images", [places[place] for place in held], [column])
        vectors, known = unit_vectors_of(taken[column].combine_chunks())
        held, vectors = held[known], vectors[known]
        left, right = np.nonzero(np.triu(vectors @ vectors.T >= request.collapse, 1))
        return link(labels, held[left], held[right])

    def _image_vectors(self, request: Request) -> str | None:
        """The column that says which images are alike: the one that is searched, or the one there is."""
        for name in (request.column, None):
            try:
                vectors = self._vectors(name)
            except UsageError:
                continue
            if vectors.table == "images":
                return vectors.column
        return None

    def _found(
        self,
        hits: list[Hit],
        listed: _Listed,
        unit: str,
        request: Request,
        rankings: list[tuple[Ranking, float]],
    ) -> Found:
        standing = self._standing_of(unit)
        codes = standing.codes(pa.array([hit.id for hit in hits], pa.string()))
        hidden = list(listed.hidden.values())
        notes = []
        if not standing.columns:
            notes.append(
                f"nothing is known of safety: {unit}s have no column {' or '.join(UNSAFE_COLUMNS)}; nothing was hidden"
            )
        elif hidden.count(UNSAFE):
            rule = " or ".join(f"{name} >= {UNSAFE_FROM}" for name in standing.columns)
            notes.append(f"{hidden.count(UNSAFE)} unsafe hits are hidden ({rule}); --show-unsafe lists them")
        not_scored = int((codes == NOT_SCORED).sum()) if standing.columns else None
        for ranking, _ in rankings:
            source = ranking.texts if isinstance(ranking, Words) else ranking
            note = source.note() if isinstance(source, Texts | Neighbours) else None
            notes += [note] if note else []
            if isinstance(ranking, Neighbours) and ranking.vectors.num_pending:
                vectors = ranking.vectors
                notes.append(f"{vectors.num_pending:,} {vectors.table} have no vector yet; run tuwen build to its end")
        complete = listed.complete and len(hits) < request.top
        return Found(unit, hits, hidden.count(UNSAFE), hidden.count(TAKEN_DOWN), not_scored, notes, complete)


def _once_a_document(labels: NDArray[np.int64], rows: list[dict[str, Any]]) -> NDArray[np.int64]:
    """Labels once what stands for near-duplicates counts to the first one of its document with an equal text.

    Not by links: the title that all images of a page share would make one of them all, whatever else is said of them.
    """
    target, seen = np.arange(len(rows), dtype=np.int64), dict[tuple[str, str], int]()
    for place in np.flatnonzero(labels == target).tolist():
        if (document := rows[place]["document_id"]) is not None:
            target[place] = seen.setdefault((document, _folded(rows[place]["text"])), place)
    return target[labels]


def _folded(text: str | None) -> str:
    return " ".join((text or "").casefold().split())


def save_ids(found: Found, file: str | Path) -> None:
    """Write the ids of the hits, one a line, for `tuwen join DIR FILE --on pair_id` (or `image_id`)."""
    path = Path(file)
    if path.suffix != ".txt":
        raise UsageError(f"{path}: ids are written one a line; give the file the ending .txt")
    if not found.hits:
        raise UsageError(f"nothing was found, so {path} is not written; a list of ids needs at least one")
    try:
        path.write_text("".join(f"{each}\n" for each in found.ids), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}; name a file in a folder of yours"
        ) from error


def key_column(found: Found) -> str:
    """What its ids are joined on."""
    return key_of(found.unit)
