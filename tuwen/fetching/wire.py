"""What aiohttp's connections leave open: how much may come for one answer, and whether a connection had gone stale."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_HEAD_BYTES = 1 << 20
"""Of one answer on the wire, interim answers (1xx) included."""


class TooMuch(aiohttp.ClientPayloadError):
    """More bytes for one answer than its headers and its body can need."""


class Stale(aiohttp.ServerDisconnectedError):
    """A connection that was kept alive had been closed by the server when it was used again.

    Most likely nobody read the request, so it may be sent again. <https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1>
    """


class Metered(ResponseHandler):
    """Counts what comes over the wire for one answer: interim answers, chunk extensions and trailers are in no body."""

    def __init__(self, max_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._body_bytes = max_bytes + max_bytes // 4  # chunk sizes, and what was on its way when reading stopped
        self._bytes_left = 0
        self._num_requests = 0

    def set_response_params(self, **params: Any) -> None:
        """aiohttp calls it before each request."""
        self._bytes_left = _HEAD_BYTES
        self._num_requests += 1
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The parser calls it with each head: (message, body)."""
        if data[0].code >= 200:
            self._bytes_left += self._body_bytes
        super().feed_data(data, size)

    def set_exception(self, error: BaseException, *cause: BaseException) -> None:
        """Among others, that the connection was lost."""
        unanswered = self._num_requests > 1 and self._bytes_left == _HEAD_BYTES
        if unanswered and isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            error = Stale()
        super().set_exception(error, *cause)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left >= 0:
            super().data_received(data)
            return
        error = TooMuch("too many bytes for one answer")
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
