"""Pages become Arrow batches of the tables `documents` and `pairs`, built from flat lists."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import pyarrow as pa

from tuwen.corpus.tables import EVIDENCE, ID_CHARACTERS, NODE, digest, source_schema
from tuwen.sources.extraction.content import Nodes, Page, Pairs

_DOCUMENTS = source_schema("documents")
_PAIRS = source_schema("pairs")
_ID_BYTES = ID_CHARACTERS // 2
_ROW_BYTES = 64  # what a node or pair takes beside its text

_NOT_OF_PAGES = ("derived_from", "expected_hash", "given")


class DocumentRows:
    """Collects pages until `flush` hands them over as rows, without the columns that the engine adds."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.num_bytes = 0
        """Rough size of what was collected; callers flush at about 8 MB."""
        self._documents: dict[str, list[object]] = {name: [] for name in _DOCUMENTS.names[:-3]}
        self._rights: list[tuple[str, str]] = []
        self._rights_ends = [0]
        self._nodes = Nodes()
        self._node_ends = [0]
        self._pairs = Pairs()
        self._pair_digests = bytearray()
        self._num_pairs: list[int] = []  # of each document

    def add(self, page: Page, *, url: str, captured_at: int | None, payload: str) -> str:
        """Add one page and return its document_id.

        `captured_at` is in microseconds since the epoch, UTC. `payload` is the digest of the page's bytes.
        """
        url = url.encode("utf-8", "replace").decode()
        document_id = digest(url, captured_at, payload)
        values = (
            document_id,
            url,
            captured_at,
            page.title,
            page.declared_language,
            page.charset,
            page.generator,
            page.license,
        )
        for column, value in zip(self._documents.values(), values, strict=True):
            column.append(value)
        self._rights += page.rights
        self._rights_ends.append(len(self._rights))
        _extend(self._nodes, page.nodes)
        self._node_ends.append(len(self._nodes))
        _extend(self._pairs, page.pairs)
        self._pair_digests += _pair_digests(document_id, page.pairs)
        self._num_pairs.append(len(page.pairs))
        self.num_bytes += _ROW_BYTES * (len(page.nodes) + len(page.pairs))
        self.num_bytes += sum(map(len, filter(None, page.nodes.text)))
        self.num_bytes += sum(map(len, page.pairs.text)) + sum(map(len, page.pairs.image_ref))
        return document_id

    def flush(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Hand over all rows as (`pairs`, batch) and (`documents`, batch), and start anew."""
        if self._pair_digests:
            yield "pairs", self._pair_batch()
        if len(self._node_ends) > 1:
            yield "documents", self._document_batch()
        self._clear()

    def _pair_batch(self) -> pa.RecordBatch:
        pairs = self._pairs
        document_ids = pa.array(self._documents["document_id"], pa.string())
        columns = {
            "pair_id": _hexadecimal(self._pair_digests),
            "document_id": document_ids.take(pa.array(np.repeat(np.arange(len(document_ids)), self._num_pairs))),
            "image_ref": pairs.image_ref,
            "position": pairs.position,
            "text": pairs.text,
            "text_source": pairs.text_source,
            "text_position": pairs.text_position,
            "region": pairs.region,
            **{name: pa.nulls(len(pairs), _PAIRS.field(name).type) for name in _NOT_OF_PAGES},
        }
        return _batch(columns, _PAIRS)

    def _document_batch(self) -> pa.RecordBatch:
        nodes = self._nodes
        columns = {field.name: pa.nulls(len(nodes), field.type) for field in NODE}
        for name in ("kind", "text", "level", "region", "image_ref"):
            columns[name] = pa.array(getattr(nodes, name), NODE.field(name).type)
        rights = pa.StructArray.from_arrays(
            [pa.array([item[part] for item in self._rights], pa.string()) for part in (0, 1)],
            fields=list(EVIDENCE),
        )
        return _batch(
            {
                **self._documents,
                "rights": _lists(rights, self._rights_ends),
                "nodes": _lists(pa.StructArray.from_arrays(list(columns.values()), fields=list(NODE)), self._node_ends),
                "given": pa.nulls(len(self._rights_ends) - 1, pa.string()),
            },
            _DOCUMENTS,
        )


def _pair_digests(document_id: str, pairs: Pairs) -> bytes:
    """16 bytes a pair, in hexadecimal equal to `digest(document_id, position, text_source, image_ref, text)`.

    Spelled out, because nothing here is called more often; a test holds it equal to `digest`.
    """
    digests = []
    sources = {source: f"{len(source)}:{source}s".encode() for source in set(pairs.text_source)}
    last, stem, address = -1, b"", b""
    for position, source, image_ref, text in zip(
        pairs.position, pairs.text_source, pairs.image_ref, pairs.text, strict=True
    ):
        if position != last:
            last = position
            stem = f"s{len(document_id)}:{document_id}i{len(str(position))}:{position}s".encode()
            address = f"{len(image_ref)}:{image_ref}s".encode()  # references are ASCII
        data = text.encode()
        digests.append(sha256(stem + sources[source] + address + b"%d:" % len(data) + data).digest()[:_ID_BYTES])
    return b"".join(digests)


def _hexadecimal(digests: bytearray) -> pa.Array:
    """Digests of 16 bytes each as a string array."""
    ends = np.arange(0, 2 * len(digests) + 1, ID_CHARACTERS, dtype=np.int32)
    data = pa.py_buffer(digests.hex().encode())
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), data)


def _extend(target: Nodes | Pairs, more: Nodes | Pairs) -> None:
    for name, values in vars(more).items():
        getattr(target, name).extend(values)


def _lists(values: pa.Array, ends: list[int]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _batch(columns: dict[str, object], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for field in schema
        for column in (columns[field.name],)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
