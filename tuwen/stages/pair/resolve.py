"""The image that a pair's reference stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tuwen.corpus.tables import EVIDENCE
from tuwen.stages.resolution import SURVEYS, attempts, resolve

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus


@dataclass(frozen=True)
class Resolve:
    """`image_id` of the image that the reference led to, or in `fetch_error` why there is none.

    The fetch nearest to the page's capture if within `same_capture_h` hours, else the earliest that gave an image;
    redirects and revisits followed. Where the pair has an `expected_hash` (SHA-256), only an image that came as those
    bytes, else `hash_mismatch`. `fetch_error` is null when found, else `not_fetched`, `too_many_redirects`, or
    the error of the attempt (`http_404`, `not_an_image`, …). `image_rights` is what the image's server
    said about its use, null where nobody looked. The rule stands in `tuwen.stages.resolution`; redirects are
    followed as in RFC 9110, section 15.4. https://www.rfc-editor.org/rfc/rfc9110#section-15.4
    """

    same_capture_h: float = 24.0

    version = 2
    table = "pairs"
    kind = "corpus"
    reads = ("image_ref", "expected_hash", "document.captured_at")
    surveys = SURVEYS
    writes = pa.schema([("image_id", pa.string()), ("fetch_error", pa.string()), ("image_rights", pa.list_(EVIDENCE))])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return attempts(corpus)

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        captured_at, expected = batch["document.captured_at"], batch["expected_hash"]
        found = resolve(state, batch["image_ref"], captured_at, self.same_capture_h, expected)
        return pa.record_batch([column.combine_chunks() for column in found.columns], schema=self.writes)
