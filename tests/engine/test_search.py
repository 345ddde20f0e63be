"""Searching: right answers against brute force, in several languages, with filters, growth, takedown and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from vector_corpus import DIM, RESOLVED, add_images, add_pairs, key, small_corpus, take_down, vectors, write_columns

import tuwen
import tuwen.corpus.indexes
import tuwen.engine.search_rankings
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import index_state
from tuwen.corpus.tables import TABLES
from tuwen.corpus.units import append_rows
from tuwen.engine.search import save_ids, search
from tuwen.engine.search_indexes import make_indexes
from tuwen.errors import UsageError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("search") / "corpus")


@pytest.fixture
def copied(small: Corpus, tmp_path: Path) -> Corpus:
    shutil.copytree(small.path, tmp_path / "corpus")
    return Corpus.open(tmp_path / "corpus")


def names(corpus: Corpus, text: str | None = None, **options: Any) -> list[str]:
    """Names of what was found."""
    return [bytes.fromhex(each).rstrip(b"\0").decode() for each in search(corpus, text, **options).ids]


def ids_of(*wanted: str) -> list[str]:
    return [key(name) for name in wanted]


@pytest.mark.parametrize("indexed", [False, True])
def test_words_are_found_in_every_script(copied: Corpus, indexed: bool) -> None:
    if indexed:
        make_indexes(copied)
    assert names(copied, "自行车") == ["p2"]
    assert names(copied, "大树 GARDEN") == ["p3"]
    assert names(copied, "الجدار") == ["p4"]
    assert names(copied, "red bicycle")[0] == "p1"
    assert set(names(copied, "red")) == {"p1", "p5", "p6", "p7"}
    assert names(copied, "bicycle 自行车", collapse=None) in (["p1", "p2"], ["p2", "p1"])
    assert names(copied, "zebra") == []


def test_rows_like_a_row(small: Corpus) -> None:
    assert names(small, ids=[key("bike")], collapse=None) == ["bike2", "cat", "lonely", "tree"]
    assert names(small, ids=[key("p5")], unit="pair")[:1] != ["p5"]
    found = search(small, ids=[key("bike")])
    assert found.unit == "image" and found.hits[0].text == "红色的自行车靠在墙上"
    assert found.hits[0].score == pytest.approx(1 / np.hypot(1, 0.05), abs=1e-3)


def test_an_image_of_the_corpus_needs_no_model(small: Corpus, tmp_path: Path) -> None:
    from tuwen.corpus.tables import digest

    copy = tmp_path / "c"
    corpus = Corpus.create(copy)
    data = b"not decodable, but known"
    add_images(corpus, ["x", "y"], vectors(2))
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UsageError, match=r"what made the vectors in images\.embedding is not known"):
        search(corpus, images=[tmp_path / "x.jpg"])
    assert digest(data) != key("x")


def test_a_meaning_is_asked_of_the_model_that_made_the_vectors(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    import checkpoints
    from PIL import Image

    from tuwen.models.encoder import encoder, encoder_hash

    model = str(checkpoints.clip(tmp_path / "clip"))
    dim = encoder(model).dim
    colours = {"red": (200, 20, 20), "blue": (20, 20, 200), "green": (20, 200, 20)}
    made = encoder(model).images([Image.new("RGB", (16, 16), colour) for colour in colours.values()])
    corpus = Corpus.create(tmp_path / "corpus")
    add_images(
        corpus, colours, made, dim=dim, record={"parameters": {"model": repr(model)}, "model": encoder_hash(model)}
    )
    found = search(corpus, "a red fox", by="meaning", collapse=None)
    expected = dict(zip(ids_of(*colours), made @ encoder(model).texts(["a red fox"])[0], strict=True))
    assert found.ids == sorted(expected, key=lambda name: -expected[name])
    assert {hit.id: hit.score for hit in found.hits} == pytest.approx(expected, abs=2e-3)
    Image.new("RGB", (16, 16), colours["blue"]).save(tmp_path / "blue.png")
    assert search(corpus, images=[tmp_path / "blue.png"], collapse=None).ids[0] == key("blue")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UsageError, match="can be decoded"):
        search(corpus, images=[tmp_path / "broken.png"])
    other = str(checkpoints.clip(tmp_path / "other", seed=1))
    with pytest.raises(UsageError, match="is not the model that made"):
        search(corpus, "fox", by="meaning", model=other)


def test_near_duplicates_count_once(small: Corpus) -> None:
    found = search(small, "bicycle 自行车")
    assert len(found.hits) == 1 and found.hits[0].num_similar == 1
    assert names(small, "red", collapse=None) != [] and len(search(small, "bicycle 自行车", collapse=None).hits) == 2
    assert len(search(small, "bicycle 自行车", collapse=1.0).hits) == 2


def test_chains_of_near_duplicates_are_one(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    angles = [0.0, 0.3, 0.6, 0.9, 2.0]  # each within cos .3 = .955 of the next, the ends far apart
    add_images(corpus, range(5), [[np.cos(a), np.sin(a), *[0] * (DIM - 2)] for a in angles])
    add_images(corpus, ["q"], [np.eye(DIM)[0]])
    found = search(corpus, ids=[key("q")])
    assert found.ids == [key(0), key(4)] and found.hits[0].num_similar == 3


def test_a_search_knows_whether_there_may_be_more(
    small: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search(small, "bicycle 自行车").complete
    assert not search(small, "bicycle 自行车", top=1).complete
    corpus = Corpus.create(tmp_path / "corpus")
    add_images(corpus, range(11), [None] * 11)
    add_pairs(corpus, [(f"p{n}", "red" if n < 60 else f"red bird number {n}", max(n - 59, 0), "en") for n in range(70)])
    assert len(search(corpus, "red", top=3).hits) == 3
    monkeypatch.setattr("tuwen.engine.search.MAX_WINDOW", 10)
    found = search(corpus, "red", top=3)  # its best 48 are texts of one image
    assert len(found.hits) == 1 and not found.complete


def test_a_text_of_a_page_counts_once(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    add_images(corpus, "abc", np.eye(DIM)[:3])
    texts = [("t1", "Red birds", "a", "page"), ("t2", "red  birds", "b", "page"), ("t3", "red birds", "c", "other")]
    texts += [("p1", "a red cardinal on a branch of a tree", "a", "page"), ("p2", "a red robin", "b", "page")]
    columns = ("pair_id", "document_id", "text", "text_source", "source", "image_ref")
    rows = [(key(name), key(page), text, "title", "s", name) for name, text, _, page in texts]
    batch = pa.RecordBatch.from_pylist([dict(zip(columns, r, strict=True)) for r in rows], TABLES["pairs"].schema)
    append_rows(corpus, "pairs", [batch])
    images = {key(name): {"image_id": key(image), "language": "en"} for name, _, image, _ in texts}
    write_columns(corpus, "pairs", "pair.resolve", RESOLVED, images)
    found = search(corpus, "birds")
    assert found.ids == ids_of("t1", "t3") and [hit.num_similar for hit in found.hits] == [1, 0]
    assert names(corpus, "birds", collapse=None) == ["t1", "t2", "t3"]
    assert search(corpus, "robin cardinal").ids == ids_of("p2", "p1")  # one page, two texts
    both = search(corpus, "red robin cardinal")  # a title links no images that have more said of them
    assert both.ids == ids_of("p2", "p1", "t3") and [hit.num_similar for hit in both.hits] == [1, 1, 0]
    assert len(search(corpus, "birds", unit="image").hits) == 3


def test_filters_are_rules(small: Corpus) -> None:
    assert names(small, "red", where="language = 'zh'") == []
    assert names(small, "red", where="image_id is null") == ["p7"]
    assert names(small, "red", where="length(text) < 15 and text_source = 'alt'") == ["p5"]
    assert names(small, ids=[key("cat")], where="language = 'zh'", collapse=None) == ["p2", "p3"]
    for wrong, said in (("langauge = 'zh'", "did you mean 'language'"), ("text", "true or false"), ("1); x", "cannot")):
        with pytest.raises(UsageError, match=said):
            search(small, "red", where=wrong)


def test_a_mix_weighs_its_parts(small: Corpus) -> None:
    both = {"text": "red cat", "ids": [key("tree")], "collapse": None, "unit": "pair"}
    words = search(small, weights={"words": 100.0}, **both)
    assert words.ids[0] == key("p5") and set(words.hits[0].scores) == {"words", "vectors"}
    assert search(small, weights={"id": 100.0}, **both).ids[0] != key("p5")
    images = search(small, "red cat", ids=[key("tree")], unit="image", weights={"words": 9.0})
    assert images.unit == "image" and key("tree") not in images.ids and images.ids[0] == key("cat")


def brute_force(rows: dict[str, np.ndarray], query: np.ndarray, k: int) -> list[str]:
    scores = {name: float(vector.astype(np.float16).astype(np.float64) @ query) for name, vector in rows.items()}
    return sorted(scores, key=lambda name: -scores[name])[:k]


def test_exact_search_equals_brute_force_and_growth_loses_nothing(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    drawn = vectors(3_000, 1)
    rows = {key(n): drawn[n] for n in range(3_000)}
    add_images(corpus, range(1, 1_500), drawn[1:1_500])
    add_images(corpus, [0], [drawn[0]])

    def check(expected: dict[str, np.ndarray]) -> None:
        for number in (0, 0):
            query = drawn[number].astype(np.float16).astype(np.float64)
            found = search(corpus, ids=[key(number)], collapse=None).ids
            assert found == brute_force({k: v for k, v in expected.items() if k != key(number)}, query, 10)

    held = {name: rows[name] for name in list(rows)[:1_500]}
    check(held)
    make_indexes(corpus)
    state = index_state(corpus.dataset("images"), "images", "embedding")
    assert state is not None and (state.num_rows, state.num_missing) == (1_500, 0)
    check(held)
    add_images(corpus, range(1_500, 3_000), drawn[1_500:])  # behind the index's back
    check(rows)
    changed = {key(n): {"embedding": [float(x) for x in drawn[(n + 7) % 1_500]]} for n in range(1, 1_500)}
    write_columns(corpus, "images", "image.embedding", corpus_schema(corpus), changed)  # a new model
    rows |= {name: np.array(row["embedding"]) for name, row in changed.items()}
    check(rows)
    make_indexes(corpus)
    check(rows)


def corpus_schema(corpus: Corpus) -> Any:
    import pyarrow as pa

    return pa.schema([("embedding", corpus.schema("images").field("embedding").type)])


def test_a_build_keeps_the_text_index_in_step(tmp_path: Path) -> None:
    from killed_build import recipe_for
    from tiny import write_pages

    from tuwen.engine.build import build

    (tmp_path / "pages").mkdir()
    write_pages(tmp_path / "pages", "a", range(0, 5))
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    corpus = Corpus.open(tmp_path / "corpus")
    make_indexes(corpus)
    write_pages(tmp_path / "pages", "b", range(5, 9))
    build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True)
    state = index_state(corpus.dataset("pairs"), "pairs", "text")
    assert state is not None and (state.num_rows, state.num_missing) == (27, 0)
    found = search(corpus, "8", collapse=None)  # equally good: by their ids
    assert {hit.text for hit in found.hits[:3]} == {"text 8 0", "text 8 1", "text 8 2"}
    assert found.ids[:2] == sorted(found.ids[:2])
    before = corpus.version()
    assert build(recipe_for(tmp_path), tmp_path / "corpus", quiet=True).did_nothing and corpus.version() == before


def test_what_was_taken_down_never_appears(copied: Corpus) -> None:
    make_indexes(copied)
    take_down(copied, "image", key("bike"))
    take_down(copied, "url", "http://h.test/p7")
    found = search(copied, "red", collapse=None)
    assert set(found.ids) == set(ids_of("p5", "p6")) and found.num_taken_down == 2
    assert key("bike") not in search(copied, ids=[key("bike2")], collapse=None).ids
    assert set(search(copied, "red", collapse=None, unsafe=True).ids) == set(ids_of("p5", "p6"))


def test_unsafe_rows_are_hidden_and_counted(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    scores = [0.1, 0.9, None, 0.5]
    add_images(corpus, "abcd", vectors(4), nsfw_score=scores)
    add_pairs(corpus, [(f"p{name}", f"thing {name}", name, "en") for name in "abcd"])
    found = search(corpus, "thing")
    assert set(found.ids) == set(ids_of("pa", "pc")) and (found.num_unsafe, found.num_not_scored) == (2, 1)
    assert "2 unsafe hits are hidden (image.nsfw_score >= 0.5)" in found.notes[0]
    assert len(search(corpus, "thing", unsafe=True).hits) == 4
    assert key("d") not in search(corpus, ids=[key("a")]).ids


def test_nothing_known_of_safety_is_said(small: Corpus) -> None:
    assert "nothing is known of safety" in search(small, "red").notes[0]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (None, {}, "nothing is asked for"),
        ("  ", {}, "is empty"),
        ("x" * 2_001, {}, "at most 2000 characters"),
        ("\ud800", {}, "not valid Unicode"),
        ("red", {"by": "magic"}, "by 'magic'"),
        ("red", {"top": 0}, "at least 1"),
        ("red", {"collapse": 7}, "got 7"),
        ("red", {"weights": {"image": 2}}, "no part 'image'"),
        ("red", {"weights": {"words": float("nan")}}, "above 0"),
        (None, {"ids": ["ffff"]}, "no image, pair or document"),
        (None, {"ids": ["zz"]}, "no id"),
        (None, {"ids": [key("none")]}, "has no vector"),
        (None, {"ids": [key("p7")]}, "has no image"),
        (None, {"images": ["nowhere.jpg"]}, "cannot be read"),
        ("red", {"by": "meaning"}, "is not known; name its model"),
        ("red", {"by": "meaning", "column": "nothing"}, "there are images.embedding"),
    ],
)
def test_requests_that_cannot_be_met(small: Corpus, text: str | None, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        search(small, text, **options)


@pytest.mark.parametrize(
    "text", ['" OR (', "*", "c++ AND NOT", "\\", "\0", "🙂", "red:cat^2~", "a\u0301" * 500, "'; --"]
)
def test_odd_texts_are_texts(small: Corpus, text: str) -> None:
    search(small, text)


def test_empty_and_vectorless_corpora(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    assert search(corpus, "red").hits == [] and make_indexes(corpus) == []
    with pytest.raises(UsageError, match=r"add the stage image\.embedding"):
        search(corpus, "red", by="meaning")
    add_pairs(corpus, [("p1", "a red bicycle", None, "en"), ("p2", "some red wine", None, "en")])
    assert names(corpus, ids=[key("p1")]) == ["p2"]  # by its words


def test_vectors_of_a_scorer_are_never_compared(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "corpus")
    rows = [{"image_id": key(name), "bytes": name.encode(), "source": "s"} for name in "ab"]
    append_rows(corpus, "images", [pa.RecordBatch.from_pylist(rows, schema=TABLES["images"].schema)])
    add_pairs(corpus, [("p1", "a red bicycle", "a", "en"), ("p2", "some red wine", "b", "en")])
    made = {key(name): {"scorer_embedding": vector.tolist()} for name, vector in zip("ab", vectors(2), strict=True)}
    schema = pa.schema([("scorer_embedding", pa.list_(pa.float16(), DIM))])
    write_columns(corpus, "images", "image.scorer", schema, made)
    why = r"a scorer's vectors do not serve search.*add the stage image\.embedding"
    scorer = tmp_path / "scorer"
    scorer.mkdir()
    (scorer / "scorer.json").write_text("{}")
    for options in (
        {"ids": [key("a")]},
        {"text": "red", "by": "meaning"},
        {"text": "red", "by": "meaning", "model": str(scorer)},
        {"text": "red", "by": "meaning", "model": str(scorer / "fold-0")},
        {"ids": [key("a")], "column": "scorer_embedding"},
        {"ids": [key("a")], "column": "images.scorer_embedding"},
    ):
        with pytest.raises(UsageError, match=why):
            search(corpus, **options)
    with pytest.raises(UsageError, match=why):
        make_indexes(corpus, "scorer_embedding")
    assert names(corpus, ids=[key("p1")]) == ["p2"]  # by its words
    assert [state.column for state in make_indexes(corpus)] == ["text"]


def test_a_scorer_is_not_the_model_of_other_vectors(small: Corpus, tmp_path: Path) -> None:
    (tmp_path / "scorer.json").write_text("{}")
    with pytest.raises(UsageError, match="a scorer's vectors do not serve search"):
        search(small, "red", by="meaning", model=str(tmp_path))


def test_searching_writes_nothing_and_needs_no_lock(copied: Corpus) -> None:
    make_indexes(copied)
    shutil.rmtree(copied.path / "tmp", ignore_errors=True)
    (copied.path / "tmp").write_text("no folder")  # as on a disk that cannot be written, for root too
    before = sorted(str(path) for path in copied.path.rglob("*"))
    with copied.writing():
        assert names(copied, "red", where="language = 'en'", collapse=None)
    assert sorted(str(path) for path in copied.path.rglob("*")) == before


def test_a_version_has_the_index_of_its_day(copied: Corpus) -> None:
    make_indexes(copied)
    add_pairs(copied, [("p9", "another red thing", None, "en")])
    assert len(search(Corpus.open(copied.path, version=1), "red", collapse=None).hits) == 4
    assert len(search(copied, "red", collapse=None).hits) == 5


def test_notes_say_what_an_index_would_do(small: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuwen.engine.search_rankings, "EXACT_ROWS", 3)
    assert any("--index` makes one" in note for note in search(small, "red").notes)


def test_hits_become_a_selection(copied: Corpus, tmp_path: Path) -> None:
    found = search(copied, "red", collapse=None)
    save_ids(found, tmp_path / "red.txt")
    tuwen.join(copied, tmp_path / "red.txt", on="pair_id")
    mapping = {"unit": "pair", "steps": [{"rule": "red"}]}
    assert tuwen.judge(copied, tuwen.Selection.from_mapping("red", mapping)).kept().read_all().num_rows == 4
    with pytest.raises(UsageError, match=r"\.txt"):
        save_ids(found, tmp_path / "red.csv")
    assert json.loads(json.dumps(found.to_json()))["unit"] == "pair"
