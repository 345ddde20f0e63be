"""Sets and indexes of ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.corpus.keys import KeyIndex, KeySet, are_among, packed_keys
from tuwen.corpus.tables import digest

IDS = [digest(number) for number in range(500)]


def reader(ids: list[str]) -> pa.RecordBatchReader:
    batch = pa.record_batch([pa.array(ids, pa.string())], names=["id"])
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


@given(st.lists(st.sampled_from([*IDS[:5], None, "", "zz" * 16, " " * 32, "é" * 16, "a" * 31 + "é", "AB" * 16])))
def test_anything_that_is_no_id_is_packed_as_zeros(keys: list[str | None]) -> None:
    array = pa.array([None, *keys], pa.string())
    packed = packed_keys(array.slice(1))
    assert len(packed) == len(keys)
    for key, found in zip(keys, packed, strict=True):
        is_id = key is not None and len(key) == 32 and all(digit in "0123456789abcdefABCDEF" for digit in key)
        assert found == np.array([bytes.fromhex(key) if is_id and key else bytes(16)], "S16")[0]


def test_an_index_finds_rows_by_whole_ids_and_by_their_start() -> None:
    index = KeyIndex.of(reader(IDS))
    assert index.find([IDS[3], None, "zz", digest("other"), IDS[499]]) == [3, -1, -1, -1, 499]
    assert index.rows(pa.array([], pa.string())).tolist() == []
    prefix = IDS[7][:2]
    assert [IDS[row] for row in index.starting_with(prefix)] == sorted(each for each in IDS if each.startswith(prefix))
    assert index.starting_with(IDS[7]).tolist() == [7]
    assert index.starting_with(IDS[7][:5]).tolist() == [row for row, each in enumerate(IDS) if each[:5] == IDS[7][:5]]


def test_a_stored_index_is_made_once(tmp_path: Path) -> None:
    first = KeyIndex.stored(tmp_path / "keys", "pairs-1", lambda: reader(IDS))

    def never() -> pa.RecordBatchReader:
        raise AssertionError("it is there already")

    again = KeyIndex.stored(tmp_path / "keys", "pairs-1", never)
    assert first.find(IDS) == again.find(IDS) == list(range(500))
    assert [IDS[row] for row in again.positions] == sorted(IDS)


def test_a_folder_that_cannot_be_written_costs_memory_only(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    assert KeyIndex.stored(tmp_path / "keys", "pairs-1", lambda: reader(IDS)).find(IDS[:2]) == [0, 1]


@pytest.mark.parametrize("sizes", [[500], [1, 499], [250, 250]])
def test_a_set_tells_what_is_new(sizes: list[int]) -> None:
    known = KeySet()
    start = 0
    for size in sizes:
        assert all(known.add_new(pa.array(IDS[start : start + size])).to_pylist())
        start += size
    assert known.add_new(pa.array([IDS[0], digest("new"), digest("new")])).to_pylist() == [False, True, False]


@given(
    st.lists(st.binary(min_size=16, max_size=16), max_size=20),
    st.lists(st.binary(min_size=16, max_size=16), max_size=20),
)
def test_keys_are_found_among_others_as_numpy_finds_them(keys: list[bytes], known: list[bytes]) -> None:
    asked, others = np.array([*keys, *known[:3]], "S16"), np.sort(np.array(known, "S16"))
    assert are_among(asked, others).tolist() == np.isin(asked, others).tolist()
