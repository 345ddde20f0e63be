"""What goes into the fetcher and what comes out: targets, the one attempt that each ends in, and a summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuwen.fetching.answer import Answer
from tuwen.fetching.pace import Change

if TYPE_CHECKING:
    from tuwen.fetching.sites import Policy

Evidence = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A URL to fetch, with what is known about it before anybody is asked."""

    url: str
    expected: tuple[str, ...] = ()
    """Hashes of which one has to match: `sha256:HEX` (32 to 64 digits) or `md5:HEX`; empty: any bytes will do."""
    evidence: Evidence = ()
    """Rights evidence of the page that shows the image, as (kind, value) in the words of `documents.rights`."""
    refused: str | None = None
    """A class of `tuwen.fetching.outcomes` that the caller has decided on already: nothing is requested then."""


@dataclass(slots=True)
class Attempt:
    """One row of `fetches`, without its ids' table columns, and the image that came with it.

    A URL may have been asked several times within a run (retries, redirects); the attempt tells how that ended.
    """

    url: str
    """As the target gave it."""
    captured_at: int
    """When the answer arrived: microseconds since 1970, UTC."""
    status: int | None = None
    """HTTP status of the last answer; None where there was none."""
    error: str | None = None
    """A class of `tuwen.fetching.outcomes`; None: an image came."""
    content_type: str | None = None
    rights: Evidence | None = None
    """All evidence seen: the page's, the site files', the headers' of every hop. None: nothing was checked."""
    redirect_url: str | None = None
    """Where redirects ended; None: there were none."""
    num_bytes: int | None = None
    """Of the decoded body; None where none was read."""
    sha256: str | None = None
    """Of the decoded body, 64 hexadecimal digits."""
    elapsed_ms: float | None = None
    """Spent on requests in the last try, without waiting for a turn; None: nothing was requested."""
    image_id: str | None = None
    image: bytes | None = None
    """What is to be stored: the original bytes, or the re-encoded ones if the settings ask for that."""


@dataclass(slots=True)
class Job:
    """A target on its way: the URL to ask next, and what this try and earlier ones have seen."""

    target: Target
    url: str
    visited: tuple[str, ...] = ()
    evidence: Evidence = ()
    spent_s: float = 0.0
    tries: int = 0
    last: Attempt | None = None
    """How the last try ended, if there will be another one."""
    policy: Policy | None = None
    """What its site says about `url`, if that was found out for this very job."""
    was_stale: bool = False
    """Whether a request for it has been repeated already because nobody seemed to have read it."""

    def attempt(self, answer: Answer | None, error: str | None) -> Attempt:
        """The row of the job's target, should this answer be the last word."""
        attempt = Attempt(self.target.url, time.time_ns() // 1000, error=error)
        attempt.rights = joined(self.target.evidence, self.evidence) or None
        if self.visited:
            attempt.redirect_url = self.url
            attempt.elapsed_ms = self.spent_s * 1000
        if answer is not None:
            attempt.status = answer.status
            attempt.content_type = answer.headers.get("content-type")
            attempt.elapsed_ms = self.spent_s * 1000
        return attempt


@dataclass
class Summary:
    """What became of a run. `num_pending` targets were taken up and have no attempt yet."""

    num_attempts: int = 0
    num_pending: int = 0
    exhausted: bool = False
    """Whether all targets were taken up: if not, there are more pending ones than `num_pending`."""
    num_images: int = 0
    num_requests: int = 0
    """Sent or tried, site files and retries included."""
    num_bytes: int = 0
    """Of decoded bodies of images and what was served as such."""
    elapsed_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Attempts by class."""
    closed: dict[str, str] = field(default_factory=dict)
    """Origins that were given up: the class of their remaining URLs, or `left` for the next run."""
    changes: list[Change] = field(default_factory=list)
    """When concurrency was lowered, and why."""
    concurrency: int = 0
    """The limit at the end."""


def joined(evidence: Evidence, more: Iterable[tuple[str, str]]) -> Evidence:
    """Each piece once, in the order in which it was found."""
    return (*evidence, *(pair for pair in dict.fromkeys(more) if pair not in evidence))


async def each(targets: Iterable[Target] | AsyncIterable[Target]) -> AsyncIterator[Target]:
    """Targets of either kind, one by one."""
    if isinstance(targets, AsyncIterable):
        async for target in targets:
            yield target
    else:
        for target in targets:
            yield target
