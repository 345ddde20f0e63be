"""Which image a reference on a page stands for: the rule that `pair.resolve` and `document.resolve` share.

A reference is a URL, or `data:sha256,ID` for bytes that were embedded in the page. For a URL, every attempt at it
is followed through redirects and revisit records to where it ended. Of the attempts that ended in an image, the one
nearest in time to the page's capture holds if it lies within `same_capture_h` hours of it (the same crawl fetched
both); else the earliest, so that a placeholder served after an image was taken down never replaces the image.
Where no attempt ended in an image, the same order chooses the attempt whose error is told.

Where other bytes are expected than any attempt brought, there is no image, and the error is `hash_mismatch`: two lists
may expect different bytes of one URL. Bytes are known by `fetches.sha256`, of the body as it came; images that came
with a data set have none and are taken as they are.

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
    f"fetches.{column}"
    for column in ("fetch_id", "url", "captured_at", "error", "rights", "redirect_url", "sha256", "image_id")
)
EMBEDDED = "data:sha256,"
MAX_REDIRECTS = 10  # as many as RFC-minded crawlers follow; a loop ends here too
NOT_FETCHED = "not_fetched"
MISMATCH = "hash_mismatch"
DIGITS = 32  # of a SHA-256, which are compared
# What an archive says of an answer that only points elsewhere. The fetcher follows redirects itself: its errors stand,
# although it also tells where they led.
_PASSED_ON = "'redirect', 'revisit', 'truncated_body', 'damaged_body'"

# Attempts and URLs go by 64 bits of their MD5 and rights by number, so that a row of the query is narrow.
# 1. `ranked`: 0 an image, 1 an image with something wrong about its transfer, 2 a redirect, 3 an error.
# 2. `hop`: each redirecting attempt leads to the best attempt at its target, then the nearest in time.
# 3. `walk`: hops are followed; `ends` keeps where each attempt stops.
# 4. Of one URL only the attempts of the best rank stay, each moment once, in the order in which they are preferred.
# `sha256` has the first digits of a body where they differ from the image's id, and is empty where nobody knows them.
ATTEMPTS = f"""
with recursive words as (
    select rights, row_number() over (order by rights)::integer as number
    from (select distinct rights from fetches where rights is not null)
),
ranked as (
    select md5_number_lower(fetch_id) as attempt, md5_number_lower(url) as key, epoch_us(captured_at) as at_us,
        image_id, error, words.number as words, md5_number_lower(redirect_url) as next_key,
        case when image_id is not null or error = '{MISMATCH}'
            then nullif(coalesce(left(sha256, {DIGITS}), ''), image_id) end as sha256,
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
        if(start.rank = 2, final.sha256, start.sha256) as sha256,
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
    select key, at_us, image_id, if(image_id is null, error, null) as error, words, sha256
    from ended
    qualify least(rank, 2) = min(least(rank, 2)) over (partition by key)
),
chosen as (
    select distinct on (key, at_us, image_id, if(image_id is null, null, sha256))
        key, at_us, image_id, error, words, sha256
    from best
    order by key, at_us nulls last, image_id, error, words, sha256
)
select key, at_us, image_id, error, rights, sha256
from chosen left join words on words.number = chosen.words
order by key, at_us nulls last, image_id, error, words, sha256
"""


def attempts(corpus: Corpus) -> pa.RecordBatchReader:
    """The state: key of the URL, at_us, image_id, error, rights, sha256; one row per attempt that may be chosen."""
    return corpus.sql(ATTEMPTS, {"fetches": [name.partition(".")[2] for name in SURVEYS]})


def resolve(
    state: pa.Table,
    refs: pa.Array,
    captured_at: pa.Array,
    same_capture_h: float,
    expected_hashes: pa.Array | None = None,
) -> pa.Table:
    """`image_id`, `error` and `rights` for each reference on a page captured then; all null for a null one.

    `expected_hashes`: for each `sha256:HEX` of the bytes that the reference stands for, or null. An MD5 is checked when
    the URL is fetched, and not here.
    """
    positions, found = find(state, refs)
    captured_us = captured_at.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    distance = np.abs(_numbers(found["at_us"].combine_chunks()) - _numbers(captured_us)[positions])
    near = distance <= same_capture_h * 3_600_000_000  # false where either time is unknown (NaN)
    wrong = _are_wrong(found, positions, expected_hashes)
    order = np.lexsort((np.where(near, distance, 0), ~near, wrong, positions))  # stable: else the earliest stays first
    _, first = np.unique(positions[order], return_index=True)
    places = np.full(len(refs), -1, dtype=np.int64)
    places[positions[order[first]]] = order[first]
    is_wrong = pa.array(wrong[places] & (places >= 0) if len(wrong) else np.zeros(len(refs), bool))
    chosen = found.select(["image_id", "error", "rights"]).take(pa.array(places, mask=places < 0))
    found_id = pc.if_else(is_wrong, None, chosen["image_id"])
    found_error = pc.if_else(is_wrong, MISMATCH, chosen["error"])

    embedded = pc.fill_null(pc.starts_with(refs, EMBEDDED), False)
    unknown = pa.array(places < 0)
    image_id = pc.if_else(embedded, pc.utf8_slice_codeunits(refs, len(EMBEDDED)), found_id)
    missing = pc.and_(pc.and_(unknown, pc.is_valid(refs)), pc.invert(embedded))
    error = pc.if_else(missing, NOT_FETCHED, found_error)
    return pa.table({"image_id": image_id, "error": error, "rights": chosen["rights"]})


def _are_wrong(found: pa.Table, positions: NDArray[np.int64], expected_hashes: pa.Array | None) -> NDArray[np.bool_]:
    """Which of the images found are known to have come as other bytes than expected."""
    if expected_hashes is None or expected_hashes.null_count == len(expected_hashes):
        return np.zeros(len(positions), dtype=bool)
    lower = pc.utf8_lower(expected_hashes)
    digits = pc.utf8_slice_codeunits(lower, len("sha256:"), len("sha256:") + DIGITS)
    expected = pc.if_else(pc.starts_with(lower, "sha256:"), digits, None).take(pa.array(positions))
    came = pc.if_else(pc.is_valid(found["image_id"]), pc.coalesce(found["sha256"], found["image_id"]), None)
    differs = pc.and_(pc.not_equal(came, expected), pc.not_equal(came, ""))
    return np.asarray(pc.fill_null(differs, False).to_numpy(zero_copy_only=False), dtype=bool)


def _numbers(values: pa.Array) -> NDArray[np.float64]:
    """As floats, NaN for null: microseconds stay exact to beyond the year 2200."""
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
