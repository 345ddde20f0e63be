"""Beside how many images the same text stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

# Texts are hashed as they stream by: what is grouped and joined are numbers. A text that is all punctuation is itself.
_COUNTS = r"""
with shown as (
    select md5_number_lower(text) as key, md5_number_lower(coalesce(nullif(trim(regexp_replace(
            lower(nfc_normalize(text)), '[^\p{L}\p{M}\p{N}]+', ' ', 'g')), ''), text)) as normal,
        md5_number_lower(coalesce(image_id, image_ref)) as image, document_id
    from pairs where text is not null
),
pages as (select document_id, md5_number_lower(regexp_replace(url, '#.*', '')) as page from documents),
images as (select normal, count(*) as num_images from (select distinct normal, image from shown where image is not null)
    group by normal),
places as (select normal, count(*) as num_pages
    from (select distinct normal, page from shown join pages using (document_id)) group by normal)
select key, coalesce(num_images, 0)::int as num_images, coalesce(num_pages, 0)::int as num_pages
from (select key, any_value(normal) as normal from shown group by key)
    left join images using (normal) left join places using (normal)
order by key
"""


@dataclass(frozen=True)
class Shared:
    """Beside how many images, and on how many pages, the same text stands: menus and templates recur, captions do not.

    `text_num_images`  distinct images of the corpus with this text; an image that is not there counts by its address
    `text_num_pages`   distinct pages (URLs without fragment) with this text; 0 for rows of lists, which have no page

    Texts are the same when they are equal in Unicode's form NFC and lower case, with runs of anything but letters,
    marks and digits as one space. Null where the text is null. ALIGN drops alt-texts that more than 10 images share:
    https://arxiv.org/abs/2102.05918. The state takes 16 bytes per distinct text; the counting spills to disk.
    """

    table = "pairs"
    kind = "corpus"
    reads = ("text",)
    surveys = (
        "pairs.text",
        "pairs.image_id",
        "pairs.image_ref",
        "pairs.document_id",
        "documents.document_id",
        "documents.url",
    )
    writes = pa.schema([("text_num_images", pa.int32()), ("text_num_pages", pa.int32())])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return corpus.sql(
            _COUNTS,
            {"pairs": ["text", "image_id", "image_ref", "document_id"], "documents": ["document_id", "url"]},
        )

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        _, counts = find_unique(state, batch["text"], [1, 2])
        known = pc.is_valid(batch["text"])
        return pa.record_batch([pc.if_else(known, pc.fill_null(count, 0), None) for count in counts], self.writes)
