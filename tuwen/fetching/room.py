"""Memory, or anything else there is so much of, shared fairly: many large bodies at once must not add up."""

from __future__ import annotations

import asyncio
from collections import Counter, deque


class Room:
    """So many bytes (or pixels), of which one taker, an origin for instance, holds at most `share` at once.

    Who finds no room waits in line; only those pass whose way nobody of the line bars: those behind a taker that has
    its share. So as long as whoever holds room gives it back without waiting for more, everybody is served, after at
    most those who came before; no taker holds up the others with more than its share.
    """

    def __init__(self, num: int, share: int | None = None) -> None:
        self._free = num
        self._share = num if share is None else share
        self._held: Counter[str] = Counter()
        self._line: deque[tuple[str, int, asyncio.Future[None]]] = deque()

    async def take(self, taker: str, num: int) -> None:
        """Wait for so much (at most `share`) and take it. Take all that is needed at once, never a second time."""
        place = (taker, num, asyncio.get_running_loop().create_future())
        self._line.append(place)
        self._serve()
        try:
            await place[2]
        except asyncio.CancelledError:
            if not place[2].cancelled():  # served in the same moment
                self.give_back(taker, num)
            elif place in self._line:
                self._line.remove(place)
                self._serve()
            raise

    def give_back(self, taker: str, num: int) -> None:
        """What was taken is free again."""
        self._free += num
        self._held[taker] -= num
        if not self._held[taker]:
            del self._held[taker]
        self._serve()

    def _serve(self) -> None:
        """Whoever can have room now gets it, in the order of the line."""
        waiting: deque[tuple[str, int, asyncio.Future[None]]] = deque()
        while self._line:
            place = taker, num, served = self._line.popleft()
            if served.done():  # gave up
                continue
            if self._held[taker] + num > self._share:
                waiting.append(place)
            elif num > self._free:
                waiting.append(place)
                break
            else:
                self._free -= num
                self._held[taker] += num
                served.set_result(None)
        self._line.extendleft(reversed(waiting))
