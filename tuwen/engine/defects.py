"""Pairs of a corpus with something wrong in them, on purpose, for judges to find.

The same corpus, settings and seed give the same pairs and the same defects, in whatever order rows are stored.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.corpus import Corpus
from tuwen.errors import UsageError
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selection_named, selections_of
from tuwen.stages.pair.judge import Judge

if TYPE_CHECKING:
    import duckdb

DEFECTS = {
    "wrong_text": "the text of another image of the same host",
    "other_language": "the text of another image, in another language",
    "shuffled": "the same words in another order",
    "truncated": "the first third to two thirds of the text",
    "boilerplate": "what pages say of any image",
}
LATIN = (
    "Click to enlarge",
    "Image may be subject to copyright",
    "Photo gallery – next – previous",
    "Loading, please wait",
)
CHINESE = ("点击查看大图", "图片加载失败,请稍后再试", "版权所有,未经许可不得转载", "上一张 下一张 返回列表")
POOL = 64  # pairs of a host or language among which another text is looked for
_HAN = re.compile("[\u3400-\u9fff]")
_LINKS = {"pair": "pair_id", "image": "image_id", "document": "document_id"}
_HOST = r"nullif(lower(regexp_extract(coalesce(d.url, a.image_ref), '^[a-zA-Z]+://([^/:?#]+)', 1)), '')"


@dataclass(frozen=True)
class Counts:
    """What a judge would be asked about: pairs, different questions, and bytes of the texts in these."""

    num_pairs: int
    num_questions: int
    text_bytes: int


@dataclass(frozen=True)
class Planted:
    """A pair as it is (`defect` None) or with a defect."""

    pair_id: str
    image_id: str
    text: str
    defect: str | None = None


def count(corpus: Corpus, stage: Judge, selection: str | None, *, allow_code: bool = False) -> Counts:
    """Pairs that the stage would ask about, of a selection or of all; equal image and text are one question."""
    with _candidates(corpus, stage, selection, allow_code) as connection:
        found = connection.execute(
            "select coalesce(sum(n), 0), count(*), coalesce(sum(num_bytes), 0) from (select count(*) as n, "
            "any_value(num_bytes) as num_bytes from candidates group by image_id, text_hash)"
        ).fetchone()
    assert found is not None
    return Counts(*(int(number) for number in found))


def plant(
    corpus: Corpus, stage: Judge, selection: str | None, rows: int, seed: int, *, allow_code: bool = False
) -> list[list[Planted]]:
    """For each of a sample of `rows` pairs the pair itself, and then it with each defect that it can have.

    Memory: about 150 bytes for each pair that the stage would ask about, spilling to disk beyond 2 GB.
    """
    with _candidates(corpus, stage, selection, allow_code) as connection:
        connection.execute(
            f"create temp table ranked as select *, md5('{seed} ' || pair_id) as rank from candidates; "
            f"create temp table sample as select * from ranked order by rank, pair_id limit {rows}"
        )
        others = {"wrong_text": _others(connection, "host"), "other_language": _others(connection, "language")}
        sample = connection.execute("select pair_id, image_id from sample order by rank, pair_id").fetchall()
    texts = _texts(corpus, {pair for pair, _ in sample}.union(*(found.values() for found in others.values())))
    planted = []
    for pair_id, image_id in sample:
        texts_of: dict[str, str | None] = {
            defect: texts[found[pair_id]] for defect, found in others.items() if pair_id in found
        }
        original = texts[pair_id]
        chance = random.Random(f"{seed} {pair_id}")
        texts_of |= {"shuffled": shuffled(original, chance), "truncated": truncated(original, chance)}
        texts_of["boilerplate"] = chance.choice(CHINESE if _HAN.search(original) else LATIN)
        chosen = [(defect, texts_of.get(defect)) for defect in DEFECTS]
        group = [Planted(pair_id, image_id, text, defect) for defect, text in chosen if text and text != original]
        planted.append([Planted(pair_id, image_id, original), *group])
    return planted


def shuffled(text: str, chance: random.Random) -> str | None:
    """The words (without spaces: pieces of two characters) in another order; None below four."""
    words, space = text.split(), " "
    if len(words) < 4 and len(text) >= 8 and len(text) > 8 * len(words):
        words, space = [text[start : start + 2] for start in range(0, len(text), 2)], ""
    if len(words) < 4 or len(set(words)) < 3:
        return None
    order = words[:]
    while order == words:
        chance.shuffle(order)
    return space.join(order)


def truncated(text: str, chance: random.Random) -> str | None:
    """A third to two thirds of the text from its beginning, cut inside a word where it has any; None below 20."""
    if len(text) < 20:
        return None
    inside = [
        end for end in range(len(text) // 3, 2 * len(text) // 3) if text[end - 1].isalnum() and text[end].isalnum()
    ]
    return text[: chance.choice(inside or [len(text) // 2])]


@contextmanager
def _candidates(
    corpus: Corpus, stage: Judge, selection: str | None, allow_code: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the table `candidates`: pairs that the stage would ask about and whose image is there."""
    known = corpus.current_columns("pairs")
    if "image_id" not in known:
        raise UsageError("pairs have no image_id; add the stage pair.resolve to the recipe and run tuwen build")
    for name in stage.minimum:
        if name not in known:
            raise UsageError(f"minimum: pairs have no column {name!r}; run tuwen build with the stage that writes it")
    with corpus.connect() as connection:
        connection.register("asked", _asked(corpus, stage, "language" in known))
        where = "a.image_id in (select image_id from images)"
        if selection is not None:
            selections = selections_of(corpus, allow_code=allow_code)
            link = _LINKS[selection_named(selections, selection).unit]
            connection.register("kept", Ledger.open_or_judge(corpus, selection, selections).kept())
            where += f" and a.{link} in (select id from kept)"
        connection.register("documents", corpus.stored("documents", ["document_id", "url"]))
        connection.register("images", corpus.stored("images", ["image_id"]))
        connection.execute(
            f"create temp table candidates as select a.pair_id, a.image_id, a.language, a.num_bytes, a.text_hash, "
            f"{_HOST} as host from (select * exclude (text), md5(text) as text_hash from asked) a "
            f"left join documents d using (document_id) where {where}"
        )
        yield connection


def _asked(corpus: Corpus, stage: Judge, has_language: bool) -> pa.RecordBatchReader:
    names = ["pair_id", "text", "text_source", *stage.minimum]
    extra = ["document_id", "image_ref", "image_id", *(["language"] if has_language else [])]
    schema = pa.schema(
        [(name, pa.string()) for name in ("pair_id", "document_id", "image_ref", "image_id", "language", "text")]
        + [("num_bytes", pa.int64())]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in corpus.scan("pairs", list(dict.fromkeys([*names, *extra]))):
            said = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(batch["text"]), ""), False)
            chosen: Any = batch.filter(pc.and_(stage.asked(batch), said))
            shown = pc.utf8_slice_codeunits(chosen["text"], 0, stage.max_characters)
            language = chosen["language"] if has_language else pa.nulls(chosen.num_rows, pa.string())
            ids = [chosen[name] for name in ("pair_id", "document_id", "image_ref", "image_id")]
            yield pa.record_batch(
                [*ids, language, chosen["text"], pc.binary_length(shown).cast(pa.int64())], schema=schema
            )

    return pa.RecordBatchReader.from_batches(schema, batches())


def _others(connection: duckdb.DuckDBPyConnection, by: str) -> dict[str, str]:
    """For each pair of the sample another one with another image and text: of its host, or of another language."""
    join = "o.host = s.host" if by == "host" else "o.language <> s.language"
    found = connection.execute(
        f"with pool as (select * from ranked where {by} is not null qualify "
        f"row_number() over (partition by {by} order by rank, pair_id) <= {POOL}) "
        f"select s.pair_id, arg_min(o.pair_id, md5(s.rank || o.rank)) from sample s join pool o on {join} "
        "and o.image_id <> s.image_id and o.text_hash <> s.text_hash group by s.pair_id"
    ).fetchall()
    return dict(found)


def _texts(corpus: Corpus, ids: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    wanted = pa.array(sorted(ids), pa.string())
    for batch in corpus.scan("pairs", ["pair_id", "text"]):
        rows = batch.filter(pc.is_in(batch["pair_id"], wanted))
        found.update(zip(rows["pair_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
    return found
