"""Which image a reference on a page stands for: the rule that `pair.resolve` and `document.resolve` share.

A reference is a URL, or `data:sha256,ID` for bytes that were embedded in the page. For a URL, every attempt at it
is followed through redirects and revisit records to where it ended. Of the attempts that ended in an image, the one
nearest in time to the page's capture holds if it lies within `same_capture_h` hours of it (the same crawl fetched
both); else the earliest, so that a placeholder served after an image was taken down never replaces the image.
Where no attempt ended in an image, the same order chooses the attempt whose error is told.

Only URLs, times and content decide. The unit that a row came from does not: a row that two units hold is stored with
the name of whichever was read first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.lookup import find

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuwen.corpus.corpus import Corpus

SURVEYS = tuple(
    f"fetches.{column}" for column in ("fetch_id", "url", "captured_at", "error", "rights", "redirect_url", "image_id")
)
EMBEDDED = "data:sha256,"
MAX_REDIRECTS = 10  # as many as RFC-minded crawlers follow; a loop ends here too
NOT_FETCHED = "not_fetched"
# What an archive says of an answer that only points elsewhere. The fetcher follows redirects itself: its errors stand,
# although it also tells where they led.
_PASSED_ON = "'redirect', 'revisit', 'truncated_body', 'damaged_body'"

# Attempts and URLs go by 64 bits of their MD5 and rights by number, so that a row of the query is narrow.
# 1. `ranked`: 0 an image, 1 an image with something wrong about its transfer, 2 a redirect, 3 an error.
# 2. `hop`: each redirecting attempt leads to the best attempt at its target, then the nearest in time.
# 3. `walk`: hops are followed; `ends` keeps where each attempt stops.
# 4. Of one URL only the attempts of the best rank stay, each moment once, in the order in which they are preferred.
ATTEMPTS = f"""
with recursive words as (
    select rights, row_number() over (order by rights)::integer as number
    from (select distinct rights from fetches where rights is not null)
),
ranked as (
    select md5_number_lower(fetch_id) as attempt, md5_number_lower(url) as key, epoch_us(captured_at) as at_us,
        image_id, error, words.number as words, md5_number_lower(redirect_url) as next_key,
        case
            when image_id is not null then case when error is null then 0 else 1 end
            when redirect_url is not null and error in ({_PASSED_ON}) then 2
            else 3
        end as rank
    from fetches left join words using (rights)
),
hop as (
    select here.attempt, there.attempt as next
    from ranked here left join ranked there on there.key = here.next_key and there.attempt != here.attempt
    where here.rank = 2
    qualify row_number() over (
        partition by here.attempt
        order by there.rank, abs(there.at_us - here.at_us) nulls last, there.attempt
    ) = 1
),
walk as (
    select attempt, next, 1 as hops from hop
    union all
    select walk.attempt, hop.next, walk.hops + 1
    from walk join hop on hop.attempt = walk.next
    where walk.hops < {MAX_REDIRECTS}
),
ends as (
    select attempt, arg_max(next, hops) as next from (select attempt, coalesce(next, 0) as next, hops from walk)
    group by attempt
),
ended as (
    select start.key, start.at_us,
        if(start.rank = 2, final.image_id, start.image_id) as image_id,
        if(start.rank = 2, final.words, start.words) as words,
        case
            when start.rank = 2 and final.attempt is null
                then if(start.error in ('redirect', 'revisit'), '{NOT_FETCHED}', start.error)
            when start.rank = 2 and final.rank = 2 then 'too_many_redirects'
            else coalesce(if(start.rank = 2, final.error, start.error), 'not_an_image')
        end as error,
        if(start.rank = 2, coalesce(final.rank, 3), start.rank) as rank
    from ranked start
        left join ends using (attempt)
        left join ranked final on final.attempt = ends.next
),
best as (
    select key, at_us, image_id, if(image_id is null, error, null) as error, words
    from ended
    qualify least(rank, 2) = min(least(rank, 2)) over (partition by key)
),
chosen as (
    select distinct on (key, at_us) key, at_us, image_id, error, words
    from best
    order by key, at_us nulls last, image_id, error, words
)
select key, at_us, image_id, error, rights
from chosen left join words on words.number = chosen.words
order by key, at_us nulls last
"""


def attempts(corpus: Corpus) -> pa.RecordBatchReader:
    """The state: key of the URL, at_us, image_id, error, rights; one row per attempt that may be chosen."""
    return corpus.sql(ATTEMPTS, {"fetches": [name.partition(".")[2] for name in SURVEYS]})


def resolve(state: pa.Table, refs: pa.Array, captured_at: pa.Array, same_capture_h: float) -> pa.Table:
    """`image_id`, `error` and `rights` for each reference on a page captured then; all null for a null one."""
    positions, found = find(state, refs)
    captured_us = captured_at.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    distance = np.abs(_numbers(found["at_us"].combine_chunks()) - _numbers(captured_us)[positions])
    near = distance <= same_capture_h * 3_600_000_000  # false where either time is unknown (NaN)
    order = np.lexsort((np.where(near, distance, 0), ~near, positions))  # stable: else the earliest stays first
    _, first = np.unique(positions[order], return_index=True)
    places = np.full(len(refs), -1, dtype=np.int64)
    places[positions[order[first]]] = order[first]
    chosen = found.select(["image_id", "error", "rights"]).take(pa.array(places, mask=places < 0))

    embedded = pc.fill_null(pc.starts_with(refs, EMBEDDED), False)
    unknown = pa.array(places < 0)
    image_id = pc.if_else(embedded, pc.utf8_slice_codeunits(refs, len(EMBEDDED)), chosen["image_id"])
    missing = pc.and_(pc.and_(unknown, pc.is_valid(refs)), pc.invert(embedded))
    error = pc.if_else(missing, NOT_FETCHED, chosen["error"])
    return pa.table({"image_id": image_id, "error": error, "rights": chosen["rights"]})


def _numbers(values: pa.Array) -> NDArray[np.float64]:
    """As floats, NaN for null: microseconds stay exact to beyond the year 2200."""
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
