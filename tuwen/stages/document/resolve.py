"""The images that a document's nodes stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.nodes import flatten, regroup
from tuwen.stages.resolution import SURVEYS, attempts, resolve

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Resolve:
    """`image_ids`: for each entry of `nodes` the id of its image; null for other nodes and where none was found.

    The same rule as `pair.resolve`, so that a pair and the node that it stands at name the same image. Redirects
    are followed as in RFC 9110, section 15.4. https://www.rfc-editor.org/rfc/rfc9110#section-15.4
    """

    same_capture_h: float = 24.0

    table = "documents"
    kind = "corpus"
    reads = ("nodes", "captured_at")
    surveys = SURVEYS
    writes = pa.schema([("image_ids", pa.list_(pa.string()))])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return attempts(corpus)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        nodes, documents = flatten(batch["nodes"])
        refs = pc.struct_field(nodes, "image_ref")
        found = resolve(state, refs, batch["captured_at"].take(documents), self.same_capture_h)
        ids = regroup(found["image_id"].combine_chunks(), batch["nodes"])
        return pa.record_batch([ids], schema=self.writes)
