"""What goes into the fetcher and what comes out: a target, and the one attempt that it ends in."""

from __future__ import annotations

from dataclasses import dataclass

Evidence = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A URL to fetch, with what is known about it before anybody is asked."""

    url: str
    expected_hash: str | None = None
    """`sha256:HEX` (all digits or the first 32 and more) or `md5:HEX`; None: any bytes will do."""
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
