"""How often an image recurs across pages and hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.tables import host_sql
from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

# Captures of one page count once: pages are distinct URLs without their fragment.
_COUNTS = f"""
with shown as (
    select distinct unnest(image_ids) as image_id, regexp_replace(url, '#.*', '') as page
    from documents
),
pages as (
    select distinct page, {host_sql("page")} as host
    from (select regexp_replace(url, '#.*', '') as page from documents)
),
sizes as (select host, count(*) as num_pages from pages group by host),
on_host as (
    select image_id, host, count(*) as shown_on
    from shown join pages using (page)
    where image_id is not null
    group by image_id, host
),
totals as (
    select image_id,
        sum(shown_on) as num_pages,
        count(*) as num_hosts,
        max(shown_on) as host_pages,
        max(shown_on / num_pages) as host_share
    from on_host join sizes using (host)
    group by image_id
)
select md5_number_lower(image_id) as key,
    num_pages::int as num_pages, num_hosts::int as num_hosts,
    host_pages::int as host_pages, host_share::float as host_share
from totals
order by key
"""


@dataclass(frozen=True)
class Recurrence:
    """On how many pages an image stands: logos, buttons and banners recur, figures do not.

    `num_pages`   pages (distinct URLs) that show the image, over the whole corpus
    `num_hosts`   hosts of these pages
    `host_pages`  the most pages of one host that show it
    `host_share`  the largest share of one host's pages that show it, 0 to 1; on a host with a single page it is 1,
                  so judge it together with `host_pages`

    All 0 for an image that no page shows. Recurring images as boilerplate: Yi, Liu & Li, "Eliminating noisy
    information in web pages for data mining", KDD 2003. https://doi.org/10.1145/956750.956785
    """

    table = "images"
    kind = "corpus"
    reads = ("image_id",)
    surveys = ("documents.url", "documents.image_ids")
    writes = pa.schema(
        [
            ("num_pages", pa.int32()),
            ("num_hosts", pa.int32()),
            ("host_pages", pa.int32()),
            ("host_share", pa.float32()),
        ]
    )

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return corpus.sql(_COUNTS, {"documents": ["url", "image_ids"]})

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        places = [state.schema.get_field_index(name) for name in self.writes.names]
        _, counts = find_unique(state, batch["image_id"], places)
        return pa.record_batch([pc.fill_null(count, 0) for count in counts], schema=self.writes)
