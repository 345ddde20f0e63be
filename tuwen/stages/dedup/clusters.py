"""One clustering step for all near-duplicates: edges between rows become connected components, and these two columns.

A cluster is named by its smallest row id. A stage keeps `labels`, for every row the smallest row that it is linked
with, adds edges as it finds them (`link`), and hands the end over as a state (`state_of`), which holds clusters of two
and more. Whatever finds the edges (MinHash, perceptual hashes, embeddings) uses the same three functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import find_unique, keys_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATE = pa.schema([("key", pa.uint64()), ("cluster", pa.string()), ("cluster_size", pa.int32())])


def link(labels: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels once the rows `left[i]` and `right[i]` are linked too; `numpy.arange(n)` where nothing is linked yet.

    The graph holds one node per label that an edge touches, not one per row: what is linked already costs nothing.
    """
    import rustworkx

    known, places = np.unique(np.stack([labels[left], labels[right]]), return_inverse=True)
    edges = places.reshape(2, -1)
    edges = np.sort(edges[:, edges[0] != edges[1]], axis=0)
    edges = np.stack(np.divmod(np.unique(edges[0] * len(known) + edges[1]), max(len(known), 1)))
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(len(known)))
    graph.extend_from_edge_list(list(zip(*edges.tolist(), strict=True)))
    target = np.arange(len(known))
    for component in rustworkx.connected_components(graph):
        members = sorted(component)
        target[members] = members[0]
    smallest = np.arange(len(labels))
    smallest[known] = known[target]
    return smallest[labels]


def first_equal(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each row the smallest row of equal value: labels in which exact duplicates are linked, a star each."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def state_of(ids: pa.Array, labels: NDArray[np.int64], known: NDArray[np.bool_]) -> pa.Table:
    """The state for `columns_of`: rows of clusters of at least two, and, with nulls, rows that are not `known`.

    Sorted by `key`, so that it does not depend on the order of the rows. 16 bytes a row of it, and an id.
    """
    sizes = np.bincount(labels[known], minlength=len(labels))
    clustered = np.flatnonzero(known & (sizes[labels] > 1))
    members = ids.take(pa.array(clustered))
    ranks = np.empty(len(members), dtype=np.int64)
    order = pc.sort_indices(members).to_numpy()
    ranks[order] = np.arange(len(members))
    smallest = np.full(len(labels), len(members))
    np.minimum.at(smallest, labels[clustered], ranks)
    cluster = members.take(pa.array(order[smallest[labels[clustered]]]))
    unknown = ids.filter(pa.array(~known))
    table = pa.table(
        [
            np.concatenate([keys_of(members), keys_of(unknown)]),
            pa.concat_arrays([cluster.cast(pa.string()), pa.nulls(len(unknown), pa.string())]),
            pa.concat_arrays([pa.array(sizes[labels[clustered]], pa.int32()), pa.nulls(len(unknown), pa.int32())]),
        ],
        schema=STATE,
    )
    return table.sort_by("key").combine_chunks()


def columns_of(state: pa.Table, ids: pa.Array, writes: pa.Schema, sought: pa.Array | None = None) -> pa.RecordBatch:
    """Cluster and size of each row: as the state says; a row that it does not hold is a cluster of its own.

    Rows are sought by their ids, or by `sought`; where that is null so are both columns.
    """
    sought = ids if sought is None else sought
    rows, (cluster, size) = find_unique(state, sought, [1, 2])
    alone = pa.array(rows < 0)
    known = pc.is_valid(sought)
    own = pc.if_else(known, ids, None), pc.if_else(known, pa.scalar(1, pa.int32()), None)
    return pa.record_batch([pc.if_else(alone, own[0], cluster), pc.if_else(alone, own[1], size)], schema=writes)
