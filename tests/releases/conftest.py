"""A small corpus with hostile texts and every image format, built through the corpus' own functions."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tuwen.corpus.columns import ColumnFile, ColumnWriter, TableState, commit_columns, declare_columns
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import TABLES, digest
from tuwen.corpus.units import append_rows
from tuwen.selections.held import HeldFile
from tuwen.selections.ledger import SCHEMA as LEDGER
from tuwen.selections.ledger import FunnelStep
from tuwen.stages.image.pixels import decode

NUM_DOCUMENTS = 12
HOSTILE = (
    "A plain caption of a red square",
    "图文对照：一只猫坐在窗台上",
    "tabs\tand\nnew\r\nlines \x01\x02\x1f\x7f\x85\u2028 controls",
    "null \x00 inside\x00",
    "\u202eright to left\u202c שלום العربية",
    '"quotes", commas, | pipes | `ticks` <script>alert(1)</script> --- \n---\n',
    "😀 astral 𠜎𠜱 and e\u0301 combining",
    "",
    "x" * 1_000_000,
)


@dataclass(frozen=True)
class Selection:
    """As much of a selection as a release looks at."""

    name: str
    unit: str
    steps: tuple[str, ...] = ()
    images: str | None = None

    def others(self) -> tuple[str, ...]:
        return (self.images,) if self.images else ()

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class LedgerFile:
    """A ledger as a file: id, step (null: kept), rule, value, weight. It stays the one that was opened."""

    selection: Selection
    path: Path
    steps: list[Any] = field(default_factory=list)
    is_weighted: bool = True
    file: HeldFile = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", HeldFile(self.path))

    def funnel(self) -> list[Any]:
        return self.steps


def image_bytes() -> list[bytes]:
    """One image for each format and peculiarity, then a number of JPEGs of growing size; the last is cut off."""
    rng = random.Random(7)
    found = []

    def save(mode: str, size: tuple[int, int], format: str, **options: Any) -> None:
        image = Image.frombytes("RGB", size, rng.randbytes(size[0] * size[1] * 3)).convert(mode)
        sink = io.BytesIO()
        image.save(sink, format, **options)
        found.append(sink.getvalue())

    save("RGB", (40, 30), "PNG")
    save("P", (31, 17), "GIF")
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "green", "blue")]
    sink = io.BytesIO()
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:])
    found.append(sink.getvalue())
    save("CMYK", (33, 33), "JPEG")
    save("RGB", (50, 40), "WEBP")
    save("RGB", (64, 48), "AVIF")
    save("L", (16, 16), "BMP")
    save("RGB", (16, 24), "TIFF")
    for size in range(20, 60, 5):
        save("RGB", (size, size), "JPEG", quality=60)
    found.append(found[-1][:-200])
    return found


def base_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of every table. Documents share images; every document has a header, a footer and a main region."""
    images = image_bytes()
    ids = [digest(data) for data in images]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("images", "fetches", "pairs", "documents")}
    rows["images"] = [{"image_id": key, "bytes": data} for key, data in zip(ids, images, strict=True)]
    captured = datetime(2026, 1, 31, 23, 30, 0, 5, tzinfo=UTC)
    for number in range(NUM_DOCUMENTS):
        url = f"https://host{number % 3}.example/page/{number}"
        document = digest(url, captured.isoformat(), b"page")
        shown = [number % len(ids), (number * 3 + 1) % len(ids), 0, len(ids) - 1]
        nodes = [{"kind": "heading", "text": f"Page {number}", "level": 1, "region": "main"}]
        for place in shown:
            nodes.append({"kind": "text", "text": HOSTILE[(number + place) % len(HOSTILE)] or None, "region": "main"})
            nodes.append({"kind": "image", "image_ref": f"https://host.example/{place}", "region": "main"})
        nodes.append({"kind": "image", "image_ref": "https://host.example/1", "region": "footer"})
        nodes.append({"kind": "svg", "region": "main"})
        rows["documents"].append(
            {
                "document_id": document,
                "url": url,
                "captured_at": captured,
                "title": f"T | {number}\n---",
                "declared_language": "en" if number % 2 else "zh-CN",
                "license": (None, "https://creativecommons.org/licenses/by-sa/4.0/", "a `strange` <licence>")[
                    number % 3
                ],
                "rights": [{"kind": "meta_robots", "value": "noai"}] if number % 4 == 0 else [],
                "nodes": nodes,
            }
        )
        for position, place in enumerate(shown):
            for source in ("alt", "caption"):
                text = HOSTILE[(number * 2 + place + len(source)) % len(HOSTILE)]
                reference = f"https://host.example/{place}" if place else f"data:sha256,{ids[0]}"
                rows["pairs"].append(
                    {
                        "pair_id": digest(document, position, source, reference, text),
                        "document_id": document,
                        "image_ref": reference,
                        "position": 2 * position + 2,
                        "text": text,
                        "text_source": source,
                        "region": "main",
                    }
                )
    rows["fetches"] = [
        {
            "fetch_id": digest(f"https://host.example/{n}"),
            "url": f"https://host.example/{n}",
            "status": 200,
            "image_id": key,
        }
        for n, key in enumerate(ids)
    ]
    return rows


def build(path: Path, *, reverse: bool = False) -> Corpus:
    """The corpus, its rows appended as two units; `reverse` brings them, and the stages, the other way round."""
    corpus = Corpus.create(path)
    for part in (1, 0) if reverse else (0, 1):
        for name, rows in base_rows().items():
            own = [{**row, "source": "web", "source_unit": f"unit-{part}"} for row in rows[part::2]]
            if reverse:
                own.reverse()
            append_rows(corpus, name, [pa.RecordBatch.from_pylist(own, schema=TABLES[name].schema)])
    unit = {"source": "web", "location": f"{path}/in.warc", "num_records": 9, "reader_version": 1, "num_bad_records": 0}
    units = [{**unit, "source_unit": f"unit-{part}", "num_images": 5 + reverse} for part in (0, 1)]
    append_rows(corpus, "units", [pa.RecordBatch.from_pylist(units, schema=TABLES["units"].schema)])
    stages = [_resolve_pairs, _resolve_documents, _properties, _language, _shape, _headers]
    for stage in reversed(stages) if reverse else stages:
        stage(corpus)
    return corpus


def add_columns(
    corpus: Corpus,
    table: str,
    stage: str,
    reads: Sequence[str],
    make: Callable[[dict[str, Any]], Any],
    schema: pa.Schema,
) -> None:
    """Commit the columns that `make` gives for every row."""
    declare_columns(corpus, table, stage, schema)
    files = []
    for fragment in TableState.read(corpus, table).fragments:
        stored = corpus.dataset(table).get_fragment(fragment.id)
        blobs = "all_binary" if "bytes" in reads else None
        batches = stored.scanner(columns=list(reads), blob_handling=blobs).to_reader()
        writer = ColumnWriter(corpus.path, table, stage, schema)
        for batch in batches:
            writer.write(pa.RecordBatch.from_pylist([make(row) for row in batch.to_pylist()], schema=schema))
        files.append(ColumnFile(fragment.id, stage, writer.close({"stage": stage}), writer.num_rows, fragment.base))
    commit_columns(corpus, table, files)


def _image_ids() -> list[str]:
    return [digest(data) for data in image_bytes()]


def _of_reference(reference: str | None) -> str | None:
    if reference is None:
        return None
    return reference.split(",")[1] if reference.startswith("data:") else _image_ids()[int(reference.rsplit("/", 1)[1])]


def _resolve_pairs(corpus: Corpus) -> None:
    add_columns(
        corpus,
        "pairs",
        "pair.resolve",
        ["image_ref"],
        lambda row: {"image_id": _of_reference(row["image_ref"])},
        pa.schema([("image_id", pa.string())]),
    )


def _resolve_documents(corpus: Corpus) -> None:
    add_columns(
        corpus,
        "documents",
        "document.resolve",
        ["nodes"],
        lambda row: {"image_ids": [_of_reference(node["image_ref"]) for node in row["nodes"]]},
        pa.schema([("image_ids", pa.list_(pa.string()))]),
    )


def _properties(corpus: Corpus) -> None:
    def make(row: dict[str, Any]) -> dict[str, Any]:
        found = decode(row["bytes"], 128)
        return {"format": found.format, "width": found.width, "height": found.height, "decode_error": found.error}

    schema = pa.schema(
        [("format", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("decode_error", pa.string())]
    )
    add_columns(corpus, "images", "image.properties", ["bytes"], make, schema)


def _language(corpus: Corpus) -> None:
    def make(row: dict[str, Any]) -> dict[str, Any]:
        chinese = any("\u4e00" <= character <= "\u9fff" for character in row["text"][:100])
        return {"language": "zh" if chinese else "en", "language_confidence": 0.1 + len(row["text"]) % 7 / 10}

    schema = pa.schema([("language", pa.string()), ("language_confidence", pa.float32())])
    add_columns(corpus, "pairs", "text.language", ["text"], make, schema)


def _shape(corpus: Corpus) -> None:
    """A column of a name that writers like: `document.properties` counts the images of the whole page."""
    schema = pa.schema([("num_images", pa.int32())])
    add_columns(
        corpus,
        "documents",
        "document.properties",
        ["nodes"],
        lambda row: {"num_images": sum(node["kind"] == "image" for node in row["nodes"])},
        schema,
    )


def _headers(corpus: Corpus) -> None:
    """What an image was served with differs between its references, for all that its name begins with `image_`."""
    schema = pa.schema([("image_noai", pa.bool_())])
    add_columns(corpus, "pairs", "pair.opt_out", ["position"], lambda row: {"image_noai": row["position"] < 5}, schema)


def weight_of(identity: str) -> float:
    """Any number that tells rows apart."""
    return int(identity[:4], 16) / 4096


def judge(corpus: Corpus, selection: Selection, path: Path, *, reverse: bool = False) -> LedgerFile:
    """Keep what two rules allow, and write down the rest."""
    table = {"pair": "pairs", "image": "images", "document": "documents"}[selection.unit]
    key = TABLES[table].key
    column = {"pair": "length(text)", "image": "width", "document": "length(url)"}[selection.unit]
    rules = [(1, f"{column} > 0"), (2, f"{column} < 2000000"), (3, "not opt_out_noai")]
    with corpus.connect() as connection:
        names = [name for name in corpus.columns(table) if name != "bytes"]
        connection.register(table, corpus.stored(table, names))
        rows = connection.sql(f"SELECT {key}, {column} AS value FROM {table} ORDER BY 1").fetchall()
    decided = []
    for identity, value in rows:
        refused = rules[0] if not value else rules[2] if identity.startswith("0") else None
        step, rule = refused or (None, None)
        shown = None if refused is None else str(value)
        weight = weight_of(identity) if refused is None else None
        decided.append({"id": identity, "step": step, "rule": rule, "value": shown, "weight": weight})
    decided.sort(key=lambda row: row["id"], reverse=reverse)
    pq.write_table(pa.Table.from_pylist(decided, schema=LEDGER), path)
    funnel, left = [], len(decided)
    for step, rule in rules:
        lost = sum(row["step"] == step for row in decided)
        expected = left - 1 if step == 2 else None
        funnel.append(FunnelStep(step, rule, left, lost, left - lost, expected=expected))
        left -= lost
    return LedgerFile(selection, path, funnel)


@dataclass(frozen=True)
class World:
    """A corpus with a ledger for every unit, and how to make another."""

    corpus: Corpus
    ledgers: dict[str, LedgerFile]

    @classmethod
    def make(cls, folder: Path, *, reverse: bool = False) -> World:
        corpus = build(folder / "corpus", reverse=reverse)
        selections = [Selection("good", "pair"), Selection("pictures", "image"), Selection("pages", "document")]
        ledgers = {s.unit: judge(corpus, s, folder / f"{s.unit}.parquet", reverse=reverse) for s in selections}
        return cls(corpus, ledgers)

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        return base_rows()

    def kept(self, unit: str) -> set[str]:
        """Ids that the ledger keeps, less those whose image cannot be decoded."""
        return {row[0] for row in duckdb.read_parquet(str(self.ledgers[unit].path)).filter("step IS NULL").fetchall()}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    return World.make


@pytest.fixture(scope="session", name="add_columns")
def add_columns_fixture() -> Callable[..., None]:
    return add_columns


if __name__ == "__main__":  # `python conftest.py FOLDER OUT reverse|forward`: a release of each format from a new world
    from tuwen.releases.release import write_release

    folder, out, order = sys.argv[1:]
    made = World.make(Path(folder), reverse=order == "reverse")
    for name in ("webdataset", "parquet", "index"):
        write_release(made.corpus, made.ledgers["pair"], Path(out) / name, name)
    write_release(made.corpus, made.ledgers["document"], Path(out) / "documents", "documents")
