"""The vectors that a search compares: which column, what made it, and the vector of what is sought."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tuwen.corpus.columns import Origin, parse_name, read_record
from tuwen.corpus.corpus import Corpus
from tuwen.corpus.indexes import SCORER_EMBEDDING, vector_columns
from tuwen.corpus.tables import ID_CHARACTERS, TABLES
from tuwen.corpus.vectors import unit_vectors_of
from tuwen.engine.search_request import Request
from tuwen.errors import TuwenError, UsageError
from tuwen.selections.why import find

if TYPE_CHECKING:
    from tuwen.models.encoder import Encoder

DEFAULTS = (("images", "embedding"), ("pairs", "text_embedding"))
MAX_RECORDS = 64  # fragments whose records are read to learn what made a column
MAX_IMAGE_BYTES = 100_000_000
NO_SCORER = (
    "a scorer's vectors do not serve search: those of each fold lie in a space of their own; "
    "add the stage image.embedding with a model (docs/search.md)"
)


@dataclass(frozen=True)
class VectorColumn:
    """A column of vectors. `model` made it, of images decoded at `pixels`; None: nobody knows."""

    table: str
    column: str
    dim: int
    num_rows: int
    num_pending: int
    model: str | None = None
    model_hash: str | None = None
    pixels: int | None = None


def vector_column(corpus: Corpus, name: str | None = None) -> VectorColumn:
    """The column of that name (`TABLE.COLUMN` or its last word), by default that of images' embeddings.

    `UsageError` where there is none, with what would make one; `TuwenError` where several models made it.
    """
    known = vector_columns(corpus)
    has_scorer = SCORER_EMBEDDING in corpus.current_columns("images")
    if has_scorer and (not known if name is None else name in (SCORER_EMBEDDING, f"images.{SCORER_EMBEDDING}")):
        raise UsageError(NO_SCORER)
    wanted = DEFAULTS if name is None else [each for each in known if name in (each[1], ".".join(each))]
    for table, column in wanted:
        if (table, column) in known:
            return _described(corpus, table, column, known[table, column])
    listed = ", ".join(f"{table}.{column}" for table, column in known)
    if name is not None and listed:
        raise UsageError(f"no column {name!r} of vectors; there are {listed}")
    if len(known) == 1:
        ((table, column),) = known
        return _described(corpus, table, column, known[table, column])
    if listed:
        raise UsageError(f"say which vectors to compare with --column: {listed}")
    raise UsageError(
        f"{corpus.path} has no vectors; add the stage image.embedding with a model to the recipe and run tuwen build, "
        "or bring them with tuwen join DIR FILE.npy --on image_id --rows FILE"
    )


def _described(corpus: Corpus, table: str, column: str, dim: int) -> VectorColumn:
    dataset = corpus.dataset(table)
    stage = corpus.columns(table)[column]
    origins: list[Origin] = []
    pending = 0
    for fragment in dataset.get_fragments():
        names = (parse_name(str(file.path)) for file in fragment.data_files())
        own = next((origin for origin in names if origin is not None and origin.stage == stage), None)
        pending += fragment.physical_rows if own is None else 0
        origins += [] if own is None else [own]
    origins = origins[:: max(1, len(origins) // MAX_RECORDS)]
    made = {_made_by(read_record(corpus, table, origin.file)) for origin in origins}
    if len(made) > 1:
        raise TuwenError(f"{table}.{column} holds vectors of {len(made)} models; run tuwen build to its end")
    model, model_hash, pixels = made.pop() if made else (None, None, None)
    return VectorColumn(table, column, dim, dataset.count_rows(), pending, model, model_hash, pixels)


def _made_by(record: dict[str, Any]) -> tuple[str | None, str | None, int | None]:
    """(model, its hash, pixels) of a freshness record, which holds parameters as Python writes them."""
    try:
        model = ast.literal_eval(record.get("parameters", {}).get("model", "None"))
    except (ValueError, SyntaxError):
        model = None
    return (model if isinstance(model, str) else None), record.get("model"), record.get("pixels")


def query_vector(corpus: Corpus, vectors: VectorColumn, request: Request) -> NDArray[np.float32]:
    """The weighted sum of what is sought, normalised: its cosine with a row is the weighted mean of theirs."""
    total = np.zeros(vectors.dim, dtype=np.float64)
    for part, found in (
        ("meaning", _of_text(vectors, request)),
        ("image", (_of_file(corpus, vectors, request, Path(file)) for file in request.images)),
        ("id", (_of_row(corpus, vectors, row_id) for row_id in request.ids)),
    ):
        for vector in found:
            total += request.weight(part) * vector
    length = np.linalg.norm(total)
    if not np.isfinite(length) or length < 1e-6:
        raise UsageError("what is sought cancels out: the vectors point in opposite directions; change the weights")
    return np.asarray(total / length, dtype=np.float32)


def _of_text(vectors: VectorColumn, request: Request) -> Iterable[NDArray[np.float32]]:
    if "meaning" in request.parts:
        yield _encoder(vectors, request.model).texts([request.text or ""])[0]


def _of_file(corpus: Corpus, vectors: VectorColumn, request: Request, file: Path) -> NDArray[np.float32]:
    try:
        if file.stat().st_size > MAX_IMAGE_BYTES:
            raise UsageError(f"{file} has more than {MAX_IMAGE_BYTES:,} bytes; give a smaller image")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}; give an image file") from None
    if vectors.table == "images" and not request.model:
        stored = _stored(corpus, vectors, hashlib.sha256(data).hexdigest()[:ID_CHARACTERS])
        if stored is not None:  # it is in the corpus: no model is needed
            return stored
    from tuwen.stages.image.pixels import decode

    encoder = _encoder(vectors, request.model)
    decoded = decode(data, encoder.image_side if vectors.pixels is None else vectors.pixels)
    if decoded.image is None:
        raise UsageError(
            f"{file} is no image that can be decoded ({decoded.error}); give a JPEG, PNG, WebP or the like"
        )
    return np.asarray(encoder.images([decoded.image])[0])


def _of_row(corpus: Corpus, vectors: VectorColumn, row_id: str) -> NDArray[np.float32]:
    kind, key = find(corpus, row_id)
    if kind == "document":
        raise UsageError(f"{row_id} is a document; give the id of an image or a pair")
    sought: str | None = key
    if kind == "pair" and vectors.table == "images":
        links = corpus.columns("pairs")
        row = corpus.table("pairs", ["image_id"], f"pair_id = '{key}'") if "image_id" in links else None
        sought = row["image_id"][0].as_py() if row is not None else None
        if sought is None:
            raise UsageError(
                f"pair {key} has no image in the corpus whose vector could be compared; give an image's id"
            )
    elif kind == "image" and vectors.table == "pairs":
        raise UsageError(f"{key} is an image, and {vectors.column} are vectors of texts; give the id of a pair")
    found = _stored(corpus, vectors, sought)
    if found is None:
        raise UsageError(f"{kind} {key} has no vector in {vectors.table}.{vectors.column}; run tuwen build to its end")
    return found


def _stored(corpus: Corpus, vectors: VectorColumn, key: str | None) -> NDArray[np.float32] | None:
    rows = corpus.table(vectors.table, [vectors.column], f"{TABLES[vectors.table].key} = '{key}'")
    if not rows.num_rows:
        return None
    found, known = unit_vectors_of(rows[vectors.column].combine_chunks())
    return found[0] if known[0] else None


def _encoder(vectors: VectorColumn, named: str | None) -> Encoder:
    """The model that made the column. Vectors of another would be compared with nonsense, so that is refused."""
    from tuwen.models.encoder import encoder, encoder_hash, encoder_shape
    from tuwen.models.scorer import DESCRIPTION

    model = named or vectors.model
    where = f"{vectors.table}.{vectors.column}"
    if model is None:
        raise UsageError(f"what made the vectors in {where} is not known; name its model with --model")
    if (Path(model) / DESCRIPTION).is_file():
        raise UsageError(NO_SCORER)
    if encoder_shape(model)[0] != vectors.dim:
        raise UsageError(
            f"the vectors of {model} have {encoder_shape(model)[0]} numbers, those of {where} {vectors.dim}"
        )
    if vectors.model_hash is not None and encoder_hash(model) != vectors.model_hash:
        raise UsageError(f"{model} is not the model that made {where}; name that one with --model, or run tuwen build")
    return encoder(model)
