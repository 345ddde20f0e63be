"""One suite over every stage: whatever lies below `tuwen.stages` is found and held to the contract.

The sample is a small corpus with real images and texts in many languages. Stages run over it in the order of what
they read, so that a stage sees what the stages before it really write.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from PIL import Image

from tuwen.corpus.readable import readable_schema
from tuwen.corpus.tables import TABLES, digest
from tuwen.engine.plan import Read
from tuwen.parts import load, load_class, name_of, names_in
from tuwen.stages import DERIVED, Stage, adds_rows, kind_of, option
from tuwen.stages.image.pixels import Decoded, decode
from tuwen.stages.nodes import regroup

NAMES = names_in("tuwen.stages")
ADDERS = [name for name in NAMES if adds_rows(load_class("tuwen.stages", name))]
OF_COLUMNS = [name for name in NAMES if name not in ADDERS]
WITH_STATE = [name for name in NAMES if kind_of(load_class("tuwen.stages", name)) != "local"]
# Parameters for the stages that cannot do without; paths are below tests/stages/.
DATA = Path(__file__).parent / "data"
PARAMETERS: dict[str, dict[str, Any]] = {
    "text.classifier": {"labelled": str(DATA / "labels.jsonl")},
    "text.lm_perplexity": {"model": str(DATA / "tiny-gpt2")},
    "pair.given": {"columns": {"score": "float32"}},  # its default is the name of a score that a list brought
    "image.embedding": {"model": str(DATA / "tiny-clip")},
    "text.embedding": {"model": str(DATA / "tiny-clip")},
    "image.scorer": {"model": str(DATA / "tiny-scorer")},
    "pair.scorer": {"model": str(DATA / "tiny-scorer")},
    "image.category": {"model": str(DATA / "tiny-clip")},
    "concepts.expansion": {"model": str(DATA / "tiny-clip")},
    "concepts.entity": {"model": str(DATA / "tiny-clip")},
    "pair.judge": {"model": str(DATA / "tiny-llava"), "max_tokens": 1, "sources": ["caption"]},
    "image.aesthetic": {"head": str(DATA / "head.npz")},
    "safety.nsfw": {"head": str(DATA / "head.npz")},
    "safety.watermark": {"head": str(DATA / "head.npz")},
    "document.assignment": {"model": str(DATA / "tiny-clip")},
    "overlap.images": {"folder": str(DATA / "evaluation-images")},
    "overlap.texts": {"folder": str(DATA / "evaluation-texts")},
    "overlap.documents": {"folder": str(DATA / "evaluation-texts")},
}
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = [
    ("A red fox crossing a snowy field at dawn", "caption"),
    ("Ein Schema der Leiterplatte mit allen Anschlüssen", "alt"),
    ("GerbView 主窗口，显示两个图层", "caption"),
    ("繁體中文的使用手冊與說明", "alt"),
    ("設定画面を開くと、次のように表示されます", "after"),
    ("Главное окно программы рисования", "before"),
    ("نافذة البرنامج الرئيسية", "alt"),
    ("शहर का एक पुराना पुल", "caption"),
    ("서울의 오래된 다리 사진", "title"),
    ("Barra de ferramentas do aplicativo", "aria_label"),
    ("IMG_2041.JPG", "alt"),
    ("https://example.org/a.png", "alt"),
    ("[Note]", "alt"),
    ("", "alt"),
    ("   ", "title"),
    ("12 345", "heading"),
    ("🙂🙂🙂", "link"),
    ("na na na na na na na", "page_title"),
    ("emoji\u200d\u0000 with a null byte", "alt"),
    ("x" * 5000, "after"),
    (None, "alt"),
]


def picture(format: str, size: tuple[int, int] = (90, 60), mode: str = "RGB", **options: Any) -> bytes:
    gradient = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", (gradient, gradient.rotate(180), gradient)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


PICTURES = [
    picture("JPEG", (640, 480)),
    picture("PNG"),
    picture("PNG", mode="P"),
    picture("GIF", mode="P"),
    picture("JPEG", mode="CMYK"),
    picture("WEBP", (300, 10)),
    picture("PNG", (1, 1)),
    picture("JPEG", (640, 480))[:3000],
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"",
    None,
]


def base_tables() -> dict[str, pa.Table]:
    """Three pages that show the pictures, with the fetches that brought them."""
    images = [{"image_id": digest(data or repr(n).encode()), "bytes": data} for n, data in enumerate(PICTURES)]
    urls = [f"http://a.test/{number}" for number in range(len(images))]
    documents, pairs, fetches = [], [], []
    for number, (url, image) in enumerate(zip(urls, images, strict=True)):
        fetch = {"fetch_id": digest(url), "url": url, "captured_at": NOW, "image_id": image["image_id"]}
        rights = [{"kind": "x_robots_tag", "value": "noai"}] if number == 1 else None
        fetches.append({**fetch, "rights": rights})
    fetches.append(
        {"fetch_id": "r", "url": "http://a.test/old", "captured_at": NOW, "redirect_url": urls[0], "error": "redirect"}
    )
    fetches.append({"fetch_id": "e", "url": "http://a.test/gone", "captured_at": NOW, "error": "http_404"})
    refs = [*urls, "http://a.test/old", "http://a.test/gone", "http://a.test/never", None]
    refs.append(f"data:sha256,{images[1]['image_id']}")
    for number in range(4):
        nodes = [
            {"kind": "heading", "text": "Une page sur les images", "level": 1, "region": "main"},
            {"kind": "text", "text": "Ceci est le texte de la page, en français. " * 6, "region": "main"},
            {"kind": "list", "text": "Home Next", "region": "navigation"},
            *({"kind": "image", "image_ref": ref, "region": "main"} for ref in refs[number::2]),
        ]
        documents.append(
            {
                "document_id": digest(f"page {number}"),
                "url": f"http://host{number % 2}.test/{number}",
                "captured_at": None if number == 3 else NOW + timedelta(hours=number * 20),
                "declared_language": [None, "fr", "en-US", "nonsense!"][number],
                "rights": [{"kind": "meta_robots", "value": "noai"}] if number else None,
                "nodes": None if number == 3 else nodes,
            }
        )
    for number, (text, source) in enumerate(TEXTS):
        pairs.append(
            {
                "pair_id": digest(f"pair {number}"),
                "document_id": documents[number % 4]["document_id"],
                "image_ref": refs[number % len(refs)],
                "position": number % 7,
                "text": text,
                "text_source": source,
                "text_position": number % 5 if number % 3 else None,
                "region": ["main", "navigation", None][number % 3],
                "given": [None, '{"score": 0.25}', '{"score": "0.5", "uid": "x"}', "{broken"][number % 4],
            }
        )
    rows = {"documents": documents, "images": images, "pairs": pairs, "fetches": fetches}
    return {name: pa.Table.from_pylist(found, schema=TABLES[name].schema) for name, found in rows.items()}


@dataclass
class Tables:
    """What `prepare` sees of a corpus: SQL over exactly the columns that the stage surveys, and scans of them."""

    tables: Mapping[str, pa.Table]
    surveys: Sequence[str]

    def sql(self, query: str, columns: Mapping[str, Sequence[str]]) -> pa.RecordBatchReader:
        connection = duckdb.connect()
        for table, names in columns.items():
            assert {f"{table}.{name}" for name in names} <= set(self.surveys)
            chosen = self.tables[table].select(list(names))
            connection.register(table, chosen.cast(readable_schema(chosen.schema)))
        return connection.sql(query).to_arrow_table().to_reader()

    def scan(self, table: str, columns: Sequence[str]) -> pa.RecordBatchReader:
        assert {f"{table}.{name}" for name in columns} <= set(self.surveys)
        chosen = self.tables[table].select(list(columns))
        return pa.RecordBatchReader.from_batches(chosen.schema, chosen.to_batches(max_chunksize=4))


def example(name: str) -> Any:
    """The stage with its defaults, or with `PARAMETERS`."""
    return load("tuwen.stages", name, PARAMETERS.get(name))


@dataclass
class Case:
    """A stage with the batch and the extras that it gets."""

    stage: Any
    batch: pa.RecordBatch
    extras: dict[str, Any]
    tables: dict[str, pa.Table]

    def run(self, stage: Any = None, rows: slice | None = None) -> pa.RecordBatch:
        rows = rows or slice(0, self.batch.num_rows)
        extras = {name: value[rows] if isinstance(value, list) else value for name, value in self.extras.items()}
        return (stage or self.stage)(self.batch.slice(rows.start, rows.stop - rows.start), **extras)


def column(tables: Mapping[str, pa.Table], stage: Stage, name: str) -> pa.Array | None:
    """A column of the stage's table or one that is followed; None while no stage has written it."""
    read, table = Read.parse(stage, name), tables[stage.table]
    if read.key is None:
        return table[name].combine_chunks() if name in table.schema.names else None
    if read.column not in tables[read.table].schema.names or read.key not in table.schema.names:
        return None
    keys, known = table[read.key].combine_chunks(), tables[read.table][TABLES[read.table].key].combine_chunks()
    lists = keys if pa.types.is_list(keys.type) else None
    places = pa.compute.index_in(keys if lists is None else lists.flatten(), known)
    found = tables[read.table][read.column].combine_chunks().take(places)
    return found if lists is None else regroup(found, lists)


def case_of(tables: dict[str, pa.Table], stage: Any) -> Case | None:
    """The stage's case, or None while something that it reads is not there."""
    columns = [column(tables, stage, name) for name in stage.reads]
    surveyed = [name.partition(".") for name in option(stage, "surveys", ())]
    if any(found is None for found in columns):
        return None
    if any(name not in tables[table].schema.names for table, _, name in surveyed):
        return None
    extras: dict[str, Any] = {}
    if kind_of(stage) != "local":
        extras["state"] = stored(stage.prepare(Tables(tables, stage.surveys)))
    if (short_side := option(stage, "pixels")) is not None:
        extras["pixels"] = [decode(data, short_side) for data in tables[stage.table]["bytes"].to_pylist()]
    return Case(stage, pa.record_batch(columns, names=list(stage.reads)), extras, dict(tables))


def stored(state: pa.Table | pa.RecordBatchReader) -> pa.Table:
    """Through a file format, as the engine does, in several batches."""
    table = state if isinstance(state, pa.Table) else state.read_all()
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=5):
            writer.write_batch(batch)
    return pa.ipc.open_file(buffer.getvalue()).read_all()


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    tables = base_tables()
    waiting = {name: example(name) for name in NAMES}
    found: dict[str, Case] = {}
    while ready := {name: case for name, stage in waiting.items() if (case := case_of(tables, stage))}:
        for name, case in ready.items():
            del waiting[name]
            found[name] = case
            result = case.run()
            if name in ADDERS:
                continue
            for field, values in zip(result.schema, result.columns, strict=True):
                tables[case.stage.table] = tables[case.stage.table].append_column(field, values)
    assert not waiting, f"nothing writes what these read: {sorted(waiting)}"
    return found


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


@pytest.mark.parametrize("case", OF_COLUMNS, indirect=True)
def test_same_rows_and_only_declared_columns(case: Case) -> None:
    result = case.run()
    assert result.num_rows == case.batch.num_rows
    assert result.schema.equals(case.stage.writes)
    assert any(values.null_count < len(values) for values in result.columns), "the sample shows nothing of this stage"


@pytest.mark.parametrize("case", ADDERS, indirect=True)
def test_adds_texts_for_rows_of_the_batch(case: Case) -> None:
    result = case.run()
    assert result.schema.equals(DERIVED) and case.stage.table == case.stage.adds == "pairs"
    assert result.num_rows, "the sample shows nothing of this stage"
    assert set(result["row"].to_pylist()) <= set(range(case.batch.num_rows))


@pytest.mark.parametrize("case", OF_COLUMNS, indirect=True)
def test_any_cut_of_the_batch_gives_the_same(case: Case) -> None:
    whole, size = case.run(), case.batch.num_rows
    for cut in {0, 1, size // 3, size // 2, size - 1, size}:
        parts = [case.run(rows=slice(0, cut)), case.run(rows=slice(cut, size))]
        assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole])), f"cut at {cut}"


@pytest.mark.parametrize("case", OF_COLUMNS, indirect=True)
def test_rows_do_not_depend_on_their_neighbours(case: Case) -> None:
    backwards = list(reversed(range(case.batch.num_rows)))
    extras = {
        name: [value[row] for row in backwards] if isinstance(value, list) else value
        for name, value in case.extras.items()
    }
    turned = Case(case.stage, case.batch.take(pa.array(backwards)), extras, case.tables)
    assert turned.run().equals(case.run().take(pa.array(backwards)))


def test_an_equal_stage_gives_equal_results(case: Case) -> None:
    again = type(case.stage)(
        **{field.name: getattr(case.stage, field.name) for field in dataclasses.fields(case.stage)}
    )
    assert case.run(again).equals(case.run())


def test_survives_pickling(case: Case) -> None:
    copy = pickle.loads(pickle.dumps(case.stage))
    assert copy == case.stage
    assert case.run(copy).equals(case.run())


def test_nulls_are_tolerated_in_every_column(case: Case) -> None:
    names = list(case.stage.reads)
    for chosen in [[name] for name in names] + [names]:
        columns = [
            pa.nulls(len(values), values.type) if name in chosen else values
            for name, values in zip(names, case.batch.columns, strict=True)
        ]
        extras = dict(case.extras)
        if "bytes" in chosen and "pixels" in extras:
            extras["pixels"] = [decode(None)] * case.batch.num_rows
        result = Case(case.stage, pa.record_batch(columns, names=names), extras, case.tables).run()
        assert result.num_rows == case.batch.num_rows or adds_rows(case.stage)
        assert result.schema.equals(case.stage.writes)


def test_an_empty_batch_gives_an_empty_batch(case: Case) -> None:
    result = case.run(rows=slice(0, 0))
    assert result.num_rows == 0
    assert result.schema.equals(case.stage.writes)


@pytest.mark.parametrize("case", WITH_STATE, indirect=True)
def test_a_state_does_not_depend_on_the_order_of_rows(case: Case) -> None:
    turned = {name: table.take(list(reversed(range(table.num_rows)))) for name, table in case.tables.items()}
    state = stored(case.stage.prepare(Tables(turned, case.stage.surveys)))
    assert state.equals(case.extras["state"])


@pytest.mark.parametrize("case", WITH_STATE, indirect=True)
def test_an_empty_state_is_tolerated(case: Case) -> None:
    result = Case(case.stage, case.batch, {**case.extras, "state": case.extras["state"].slice(0, 0)}, case.tables).run()
    assert result.schema.equals(case.stage.writes)


@pytest.mark.parametrize("name", NAMES)
def test_form(name: str) -> None:
    cls: Any = load_class("tuwen.stages", name)
    assert name_of(example(name)) == name
    assert cls.__dataclass_params__.frozen
    assert isinstance(example(name), Stage)
    text = inspect.getdoc(cls) or ""
    assert re.search(r"https?://\S+", text), "the docstring names its source"
    assert len(text.splitlines()[0]) > 20
    for written in cls.writes.names:
        assert f"`{written}`" in text, f"the docstring does not explain {written}"
    assert len(Path(inspect.getfile(cls)).read_text().splitlines()) <= 150
    assert kind_of(cls) in ("local", "corpus", "fitted")
    assert hasattr(cls, "prepare") == (kind_of(cls) != "local")
    assert not hasattr(cls, "prepare") or option(cls, "surveys") or option(cls, "model_hash"), "what is prepared from?"


def test_no_two_stages_write_one_column() -> None:
    written: set[tuple[str, str]] = set()
    for stage in map(example, OF_COLUMNS):
        for column_name in stage.writes.names:
            assert (stage.table, column_name) not in written
            assert column_name not in TABLES[stage.table].schema.names
            written.add((stage.table, column_name))


def test_measuring_stages_share_one_decode() -> None:
    """Each scale that is asked for is decoded, so only an encoder, whose model says it, asks for one of its own."""
    sizes = {option(load_class("tuwen.stages", name), "pixels") for name in NAMES} - {None}
    assert len([size for size in sizes if isinstance(size, int)]) == 1


def test_decoded_images_pickle() -> None:
    decoded = decode(PICTURES[0], 128)
    assert isinstance(pickle.loads(pickle.dumps(decoded)), Decoded)
