"""How many URLs led to an image: stand-ins for what is gone come for very many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.corpus.tables import host_sql
from tuwen.stages.lookup import find_unique

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

# However often it was asked for, by http or https, a URL counts once.
_COUNTS = f"""
with asked as (
    select distinct image_id, regexp_replace(url, '^https?://|#.*$', '', 'g') as address
    from fetches
    where image_id is not null
)
select md5_number_lower(image_id) as key,
    count(*)::int as num_urls,
    count(distinct {host_sql("'http://' || address")})::int as num_url_hosts
from asked
group by image_id
order by key
"""


@dataclass(frozen=True)
class Urls:
    """From how many URLs the same bytes came: "image removed", tracking pixels and logos come from many.

    `num_urls`       distinct URLs (fragments aside; http and https alike) whose fetch brought these bytes, over the
                     whole corpus; redirects that the fetcher followed count as the URL that was asked for, those in
                     archives do not count
    `num_url_hosts`  distinct hosts of these URLs

    Both 0 for an image that was embedded in a page. A picture that is copied around keeps its bytes on a few URLs, as
    sites scale and recompress; `num_urls < 20` in a selection refuses stand-ins, on one host as on many. Status 200
    with a stand-in is a soft 404: Bar-Yossef, Broder, Kumar & Tomkins, "Sic transit gloria telae", WWW 2004.
    https://doi.org/10.1145/988672.988716
    """

    table = "images"
    kind = "corpus"
    reads = ("image_id",)
    surveys = ("fetches.url", "fetches.image_id")
    writes = pa.schema([("num_urls", pa.int32()), ("num_url_hosts", pa.int32())])

    def prepare(self, corpus: Corpus) -> pa.RecordBatchReader:
        return corpus.sql(_COUNTS, {"fetches": ["url", "image_id"]})

    def __call__(self, batch: pa.RecordBatch, state: pa.Table) -> pa.RecordBatch:
        places = [state.schema.get_field_index(name) for name in self.writes.names]
        _, counts = find_unique(state, batch["image_id"], places)
        return pa.record_batch([pc.fill_null(count, 0) for count in counts], schema=self.writes)
