"""Memory for bodies that are being read, shared by all requests: many large ones at once must not add up."""

from __future__ import annotations

import asyncio


class Room:
    """So many bytes. Whoever wants more than are free waits, within the time of its own request.

    Requests that wait for each other end with their timeouts, so nothing waits for ever.
    """

    def __init__(self, num_bytes: int) -> None:
        self._free = num_bytes
        self._freed = asyncio.Event()

    async def take(self, num_bytes: int) -> None:
        """Wait for free bytes and take them."""
        while self._free < num_bytes:
            self._freed.clear()
            await self._freed.wait()
        self._free -= num_bytes

    def give_back(self, num_bytes: int) -> None:
        """What was taken is free again."""
        self._free += num_bytes
        self._freed.set()
