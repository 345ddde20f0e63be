"""How many requests to run at once: more while all is well, fewer when the trouble is at our own end.

Additive increase, multiplicative decrease, as TCP does <https://www.rfc-editor.org/rfc/rfc5681>. A dead host says
nothing about us, however many URLs it has; many hosts that answered before and fail now do, and so do a resolver that
fails for many names and an event loop that comes late.
"""

from __future__ import annotations

from dataclasses import dataclass

LOWEST = 8
_FIRST = 64
_STEPS = 32  # additive: from 0 to the highest in as many seconds
_PERIOD_S = 1.0
_PAUSE_S = 5.0  # after a decrease: what comes in now was asked for before it
_LATE_S = 0.25
_STALE_S = 10.0
_FEW_HOSTS = 5
_MANY_HOSTS = 20
_LINK_FAILURES = frozenset({"timeout", "refused", "unreachable", "disconnected", "truncated_body"})


@dataclass(frozen=True)
class Change:
    """A decrease, in numbers and in words."""

    at: float
    before: int
    after: int
    reason: str

    def __str__(self) -> str:
        return f"{self.before} → {self.after} at once: {self.reason}"


class Pace:
    """The limit on requests in flight. Times are seconds of any clock that does not go back.

    `record` every request, `tick` about ten times a second. `limit` stays between 8 (or `highest`, if that is less)
    and `highest`.
    """

    def __init__(self, highest: int) -> None:
        self._highest = highest
        self._lowest = min(LOWEST, highest)
        self.limit = min(_FIRST, highest)
        self.lowest_seen = self.limit
        self.changes: list[Change] = []
        """Decreases, the latest hundred."""
        self._since: float | None = None
        self._rests_until = float("-inf")
        self._saturated = False
        self._lag_s = 0.0
        self._clear(0.0)

    def _clear(self, now: float) -> None:
        self._counted_from = now
        self._num = self._num_known = self._num_failed = self._num_known_failed = self._num_unresolved = 0
        self._failed_hosts: set[str] = set()
        self._known_failed_hosts: set[str] = set()
        self._unresolved_hosts: set[str] = set()

    def record(self, origin: str, error: str | None, answered_before: bool) -> None:
        """One request is over. `answered_before`: the origin has answered in this run."""
        self._num += 1
        self._num_known += answered_before
        if error == "dns_failure":
            self._num_unresolved += 1
            self._unresolved_hosts.add(origin)
        elif error in _LINK_FAILURES:
            self._num_failed += 1
            self._failed_hosts.add(origin)
            if answered_before:
                self._num_known_failed += 1
                self._known_failed_hosts.add(origin)

    def tick(self, now: float, in_flight: int, lag_s: float = 0.0) -> Change | None:
        """Look at what came. `lag_s`: how much later than asked the event loop called. Returns a decrease, if any."""
        self._saturated |= in_flight >= self.limit
        self._lag_s = max(self._lag_s, lag_s)
        if self._since is None:
            self._since = self._counted_from = now
        if now - self._since < _PERIOD_S:
            return None
        self._since = now
        if now < self._rests_until:
            self._clear(now)
            change = None
        else:
            change = self._judge(now)
        self._saturated, self._lag_s = False, 0.0
        return change

    def _judge(self, now: float) -> Change | None:
        trouble = self._trouble()
        if trouble is None:
            if self._num >= 2 * _MANY_HOSTS or now - self._counted_from >= _STALE_S:
                self._clear(now)  # otherwise the evidence is thin: let it add up
            if self._saturated:
                self.limit = min(self._highest, self.limit + max(1, self._highest // _STEPS))
            return None
        factor, reason = trouble
        before, self.limit = self.limit, max(self._lowest, int(self.limit * factor))
        self.lowest_seen = min(self.lowest_seen, self.limit)
        self._rests_until = now + _PAUSE_S
        self._clear(now)
        if self.limit == before:
            return None
        change = Change(now, before, self.limit, reason)
        self.changes = [*self.changes[-99:], change]
        return change

    def _trouble(self) -> tuple[float, str] | None:
        if self._lag_s > _LATE_S:
            return 0.7, f"the event loop was {self._lag_s:.2f} s late (this machine is busy)"
        unresolved, hosts = self._num_unresolved, len(self._unresolved_hosts)
        if hosts >= _FEW_HOSTS and unresolved >= 0.1 * self._num:
            return 0.5, f"the resolver gave no answer for {hosts} names ({unresolved} of {self._num} requests)"
        failed, hosts = self._num_known_failed, len(self._known_failed_hosts)
        if hosts >= _FEW_HOSTS and failed >= 0.2 * self._num_known:
            return 0.5, f"{hosts} hosts that had answered failed together ({failed} of {self._num_known} requests)"
        failed, hosts = self._num_failed, len(self._failed_hosts)
        if hosts >= _MANY_HOSTS and failed >= 0.8 * self._num:
            return 0.5, f"{hosts} hosts failed to connect together ({failed} of {self._num} requests)"
        return None
