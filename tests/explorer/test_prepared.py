"""What takes long is made once, in the background."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from tuwen.explorer.prepared import MOST, WAITED, NotReadyError, Prepared


def test_whoever_comes_early_is_told_what_is_made() -> None:
    prepared, go = Prepared(wait_s=0.05), threading.Event()
    made = []

    def make() -> int:
        go.wait(10)
        made.append(1)
        return 7

    with pytest.raises(NotReadyError) as error:
        prepared.get("seven", "the number seven", make)
    assert error.value.what == "the number seven"
    with pytest.raises(NotReadyError):
        prepared.get("seven", "the number seven", make)
    go.set()
    assert Prepared.get(prepared, "seven", "", make) == 7 or prepared._futures["seven"].result(10) == 7
    assert made == [1]


def test_what_failed_is_told_and_tried_again() -> None:
    prepared, answers = Prepared(wait_s=10), iter([ValueError("no disk"), 3])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="no disk"):
        prepared.get("x", "", make)
    assert prepared.get("x", "", make) == 3


def test_what_needs_another_does_not_wait_for_itself() -> None:
    prepared = Prepared(wait_s=10)
    inner = lambda: prepared.get("inner", "", lambda: 2)  # noqa: E731
    assert prepared.get("outer", "", lambda: inner() + inner()) == 4
    assert prepared.get("inner", "", lambda: 99) == 2  # it was kept


def test_what_nobody_asked_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuwen.explorer.prepared.MINUTES_S", 0.0)
    prepared, made = Prepared(wait_s=10), list[int]()
    for number in [*range(MOST), 0, MOST, 0, 1]:
        assert prepared.get(number, "", lambda number=number: made.append(number) or number) == number
    assert made == [*range(MOST + 1), 1]


def test_a_page_that_needs_many_slow_values_gets_them() -> None:
    """Each takes longer than a page waits: what was made for an earlier try must still be there at the next."""
    prepared = Prepared(wait_s=0.02)

    def page() -> list[int]:
        return [prepared.get(number, "", lambda number=number: time.sleep(0.04) or number) for number in range(40)]

    for _ in range(200):
        with suppress(NotReadyError):
            assert page() == list(range(40))
            return
    raise AssertionError("it never gets there")


def test_a_request_waits_for_all_it_needs_as_long_as_for_one_thing() -> None:
    prepared, go = Prepared(wait_s=0.3), threading.Event()
    token = WAITED.set([0.0])
    try:
        started = time.monotonic()
        for key in "abcd":
            with pytest.raises(NotReadyError):
                prepared.get(key, "", lambda: go.wait(10))
        assert time.monotonic() - started < 0.9
    finally:
        WAITED.reset(token)
        go.set()


def test_what_is_slow_holds_nobody_up() -> None:
    prepared, go = Prepared(wait_s=0.05), threading.Event()
    with pytest.raises(NotReadyError):
        prepared.get("map", "the map", lambda: go.wait(10), slow=True)
    prepared._wait_s = 10
    assert prepared.get("index", "", lambda: 1) == 1
    go.set()


def test_renewed_it_makes_values_anew() -> None:
    prepared = Prepared(wait_s=10)
    assert [prepared.get("a", "", lambda: 1), prepared.get("a", "", lambda: 2)] == [1, 1]
    renewed = prepared.renewed()
    assert renewed.get("a", "", lambda: 2) == 2
    assert prepared.get("a", "", lambda: 3) == 1  # whoever still looks at the old one sees what it saw
    renewed.close()


def test_what_is_late_for_the_old_is_not_in_the_new() -> None:
    old, go = Prepared(wait_s=0.05), threading.Event()
    with pytest.raises(NotReadyError):
        old.get("outer", "", lambda: go.wait(10) and old.get("inner", "", lambda: "old"))
    with pytest.raises(NotReadyError):
        old.get("waiting", "", lambda: "old")
    new = old.renewed()
    with pytest.raises(NotReadyError):
        old.get("waiting", "", lambda: "old")
    new._wait_s = 10
    go.set()
    assert [new.get(key, "", lambda: "new") for key in ("outer", "inner", "waiting")] == ["new"] * 3
