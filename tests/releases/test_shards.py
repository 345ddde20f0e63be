"""Shards take any value and give it back, cut at the same places however the rows arrive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuwen.errors import UsageError
from tuwen.releases.manifest import canonical_json
from tuwen.releases.shards import Limits, ParquetShards, TarShards, read_parquet, row_bytes
from tuwen.releases.writers.parquet import IMAGE
from tuwen.releases.writers.webdataset import read_samples

SCHEMA = pa.schema(
    [
        ("image", IMAGE),
        ("text", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("rights", pa.list_(pa.struct([("kind", pa.string())]))),
        ("score", pa.float32()),
    ]
)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
ROW = st.fixed_dictionaries(
    {
        "image": st.none()
        | st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=90), "path": st.none() | TEXT}),
        "text": st.none() | TEXT,
        "tags": st.none() | st.lists(st.none() | TEXT, max_size=4),
        "rights": st.none() | st.lists(st.fixed_dictionaries({"kind": TEXT}), max_size=3),
        "score": st.none() | st.floats(width=32, allow_nan=False),
    }
)


def written(rows: list[dict], cuts: list[int], limits: Limits) -> tuple[dict[str, bytes], list[dict]]:
    """(name → bytes, rows read back) of rows that arrive in pieces cut at `cuts`."""
    table = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    ends = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    with tempfile.TemporaryDirectory() as folder:
        shards = ParquetShards(Path(folder), SCHEMA, limits, image="image")
        for start, end in pairwise(ends):
            shards.add(table.slice(start, end - start))
        shards.close()
        paths = sorted(Path(folder).iterdir())
        assert [path.name for path in paths] == sorted(shards.counts)
        back = []
        for path in paths:
            read = [row for batch in read_parquet(path) for row in batch.to_pylist()]
            assert len(read) == shards.counts[path.name] <= limits.rows
            back += read
        return {path.name: path.read_bytes() for path in paths}, back


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=25),
    st.lists(st.integers(0, 100), max_size=4),
    st.builds(Limits, st.integers(1, 9), st.integers(1, 600), st.integers(1, 300)),
)
def test_parquet_round_trip_however_the_rows_arrive(rows, cuts, limits):
    files, back = written(rows, cuts, limits)
    assert back == pa.RecordBatch.from_pylist(rows, schema=SCHEMA).to_pylist()
    assert written(rows, [], limits)[0] == files


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), st.integers(0, 11))
def test_row_bytes_depend_on_the_row_alone(rows, start):
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    start %= len(rows)
    assert row_bytes(batch)[start:].tolist() == row_bytes(batch.slice(start)).tolist()
    text = rows[start]["text"] or ""
    assert row_bytes(batch)[start] >= len(text.encode())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=2_000), TEXT), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 20_000),
)
def test_tar_round_trip(samples, per_shard, num_bytes):
    with tempfile.TemporaryDirectory() as folder:
        contents = []
        for _ in range(2):
            shards = TarShards(Path(folder), per_shard, num_bytes)
            for index, (data, text) in enumerate(samples):
                members = {"jpg": data, "json": canonical_json({"text": text}), "txt": text.encode()}
                shards.add(f"{index:032x}", members)
            shards.close()
            paths = sorted(Path(folder).iterdir())
            contents.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
        assert contents[0] == contents[1]
        back = [sample for path in paths for sample in read_samples(path)]
        assert [key for key, _ in back] == [f"{index:032x}" for index in range(len(samples))]
        assert [(members["jpg"], members["txt"].decode()) for _, members in back] == samples
        assert max(shards.counts.values()) <= per_shard


@pytest.mark.parametrize("limits", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 65 << 20)])
def test_limits_without_room_are_refused(limits):
    with pytest.raises(UsageError, match="room for a row"):
        Limits(*limits)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT, lambda x: st.lists(x) | st.dictionaries(TEXT, x)
    )
)
def test_canonical_json_is_stable_and_valid(value):
    data = canonical_json(value)
    assert canonical_json(json.loads(data)) == data


@given(
    sizes=st.lists(st.integers(0, 3_000), max_size=30),
    names=st.lists(st.text("abcdef0123456789", min_size=1, max_size=90), min_size=30, max_size=30, unique=True),
)
def test_tar_bytes_are_those_of_tarfile(sizes: list[int], names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shards = TarShards(Path(folder) / "ours", 1_000, 1 << 40)
        expected = io.BytesIO()
        with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, size in zip(names, sizes, strict=False):
                data = bytes(number % 251 for number in range(size))
                shards.add(name, {"jpg": data})
                member = tarfile.TarInfo(f"{name}.jpg")
                member.size, member.mode, member.mtime = len(data), 0o644, 0
                tar.addfile(member, io.BytesIO(data))
        shards.close()
        if sizes:
            assert (Path(folder) / "ours" / "00000.tar").read_bytes() == expected.getvalue()


def test_lists_of_numbers_have_a_size() -> None:
    lists = pa.array([[1, 2], None, [], [3]], pa.list_(pa.int64()))
    nested = pa.array([[[0.5, 1.0]], [], None, [[2.0], [3.0, 4.0]]], pa.list_(pa.list_(pa.float64())))
    vectors = pa.array([[[1.0, 2.0]], [], None, [[1.0, 2.0]] * 2], pa.list_(pa.list_(pa.float32(), 2)))
    for column, expected in ((lists, [16, 0, 0, 8]), (nested, [16, 0, 0, 24]), (vectors, [16, 0, 0, 32])):
        assert row_bytes(pa.record_batch({"x": column})).tolist() == expected
