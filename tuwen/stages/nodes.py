"""Columns of nodes as flat arrays, so that stages over documents work on whole batches at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flatten(lists: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    """All entries of all rows in order, and for each entry the number of its row."""
    return lists.flatten(), pc.list_parent_indices(lists)


def regroup(entries: pa.Array, like: pa.ListArray) -> pa.ListArray:
    """The inverse of `flatten`: one entry per entry of `like`, null where `like` is null."""
    counts = pc.fill_null(pc.list_value_length(like), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, entries, mask=pc.is_null(like))


def sum_by_row(values: pa.Array, rows: pa.Array, num_rows: int) -> NDArray[np.int64]:
    """Sum of the entries of each row; null entries count nothing."""
    weights = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    sums = np.bincount(rows.to_numpy(zero_copy_only=False), weights=weights, minlength=num_rows)
    return sums.astype(np.int64)
