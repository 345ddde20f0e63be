"""The one class that an attempt at a URL ends in, what its image turned out to be included."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# What `image.properties` says of an image → class; any other decode_error is `undecodable`. Bytes that are not stored
# (`missing`) came well when they were fetched.
_CLASSES = {"missing": None, "vector": "vector_image", "too_many_pixels": "too_many_pixels", "empty": "empty_body"}


@dataclass(frozen=True)
class Outcome:
    """The final class of each attempt.

    `outcome`  `error` where there is one; else, of the image that came, `undecodable`, `vector_image`, `empty_body` or
               `too_many_pixels`; else `placeholder` where the same bytes came from `min_urls` URLs or more; else `ok`

    Nothing is judged by it: pairs are refused by rules on `fetch_error`, `image.decode_error` and `image.num_urls`.
    What the classes mean: docs/fetching.md. A stand-in with status 200 is a soft 404; a file that is shown in many
    places is one URL, so 20 URLs with equal bytes are hardly ever 20 pictures.
    HTTP statuses: https://www.rfc-editor.org/rfc/rfc9110#section-15
    """

    min_urls: int = 20

    table = "fetches"
    reads = ("error", "image_id", "image.decode_error", "image.num_urls")
    writes = pa.schema([("outcome", pa.string())])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        decoding = batch["image.decode_error"]
        unreadable = pc.and_not(pc.is_valid(decoding), pc.fill_null(pc.equal(decoding, "missing"), False))
        named = pc.index_in(decoding, pa.array(list(_CLASSES)))
        reading = pc.coalesce(pa.array(list(_CLASSES.values()), pa.string()).take(named), pa.scalar("undecodable"))
        repeated = pc.fill_null(pc.greater_equal(batch["image.num_urls"], self.min_urls), False)
        image = pc.if_else(unreadable, reading, pc.if_else(repeated, "placeholder", "ok"))
        outcome = pc.coalesce(batch["error"], pc.if_else(pc.is_valid(batch["image_id"]), image, "not_an_image"))
        return pa.record_batch([outcome], schema=self.writes)
