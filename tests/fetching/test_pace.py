"""Fewer at once when the trouble is our own; hosts that are merely dead change nothing."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching.pace import LOWEST, Pace


def drive(pace: Pace, seconds: int, one_second: Callable[[int], None], start: int = 0, lag_s: float = 0.0) -> list[str]:
    """Ten ticks a second with all places taken."""
    changes = []
    for second in range(start, start + seconds):
        one_second(second)
        for tenth in range(10):
            if (change := pace.tick(second + tenth / 10, pace.limit, lag_s)) is not None:
                changes.append(str(change))
    return changes


def fine(pace: Pace, hosts: int = 50) -> Callable[[int], None]:
    return lambda second: [pace.record(f"h{n}", None, True) for n in range(hosts)] and None


def test_grows_to_the_highest_while_it_is_used() -> None:
    pace = Pace(256)
    assert drive(pace, 40, fine(pace)) == [] and pace.limit == 256
    idle = Pace(256)
    for second in range(40):
        idle.tick(float(second), 3)
    assert idle.limit == 64


def test_many_hosts_that_answered_and_fail_now_halve_it() -> None:
    pace = Pace(256)
    drive(pace, 40, fine(pace))

    def trouble(second: int) -> None:
        for number in range(50):
            pace.record(f"h{number}", "timeout" if number % 3 == 0 else None, True)

    changes = drive(pace, 3, trouble, 40)
    assert changes == ["256 → 128 at once: 17 hosts that had answered failed together (17 of 50 requests)"]
    drive(pace, 60, trouble, 43)
    assert pace.limit == LOWEST and pace.lowest_seen == LOWEST
    drive(pace, 60, fine(pace), 103)
    assert pace.limit == 256


def test_dead_hosts_are_no_reason() -> None:
    pace = Pace(256)

    def rot(second: int) -> None:
        for number in range(60):
            dead = number % 2 == 0
            pace.record(f"h{second}.{number}", "timeout" if dead else None, not dead)

    assert drive(pace, 60, rot) == [] and pace.limit == 256


def test_one_host_is_no_reason() -> None:
    pace = Pace(256)
    assert drive(pace, 60, lambda second: [pace.record("h", "timeout", True) for _ in range(90)] and None) == []


def test_everything_failing_is_a_reason() -> None:
    pace = Pace(256)
    changes = drive(pace, 2, lambda s: [pace.record(f"h{s}.{n}", "unreachable", False) for n in range(90)] and None)
    assert changes == ["64 → 32 at once: 180 hosts failed to connect together (180 of 180 requests)"]


def test_a_failing_resolver_is_a_reason_and_missing_names_are_not() -> None:
    pace = Pace(256)
    assert (
        drive(pace, 30, lambda s: [pace.record(f"h{s}.{n}", "dns_not_found", False) for n in range(90)] and None) == []
    )
    pace = Pace(256)

    def failing(second: int) -> None:
        for number in range(100):
            pace.record(f"h{number}", "dns_failure" if number < 20 else None, False)

    [change] = drive(pace, 2, failing)
    assert change == "64 → 32 at once: the resolver gave no answer for 20 names (40 of 200 requests)"


def test_a_late_event_loop_is_a_reason() -> None:
    pace = Pace(100)
    [change] = drive(pace, 4, fine(pace), lag_s=0.4)
    assert change == "64 → 44 at once: the event loop was 0.40 s late (this machine is busy)"


ERRORS = st.sampled_from([None, "timeout", "dns_failure", "refused", "http_404"])


@given(
    highest=st.integers(1, 300),
    events=st.lists(
        st.tuples(ERRORS, st.integers(0, 40), st.booleans(), st.floats(0, 1), st.floats(0, 2)), max_size=200
    ),
)
def test_stays_within_its_bounds(highest: int, events: list[tuple[str | None, int, bool, float, float]]) -> None:
    pace, now = Pace(highest), 0.0
    for error, host, known, lag, step in events:
        for number in range(30):
            pace.record(f"{host + number}", error, known)
        now += step
        pace.tick(now, pace.limit, lag)
        assert min(LOWEST, highest) <= pace.limit <= highest
    assert len(pace.changes) <= 100
