"""What came of one request."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Answer:
    """One request's outcome: `status` and `headers` if an answer began, `error` if it did not end well."""

    url: str
    """As it was asked for (see `checked_url`); as it was given where it was not asked for."""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; values of one name joined by ", " (of Content-Type, -Length, Location the first counts)."""
    body: bytes = b""
    """Of 2xx answers, decoded. After `too_large` (where `prefix` was asked for) or a broken transfer, what had come."""
    error: str | None = None
    """A key of `OUTCOMES`, or what `screen` said. None: the transfer was fine, whatever the status."""
    location: str | None = None
    """Target of a redirect, absolute and checked; None where there is none, or none that can be asked for."""
    elapsed_ms: float = 0.0
    retry_after_s: float | None = None
    """What Retry-After asks for, counted from now."""
    is_stale: bool = False
    """The server had closed the connection, kept alive from an earlier request: most likely nobody read this one."""
