"""Memory that large bodies share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from typing import Any

from hostile_server import Exchange, HostileServer
from hypothesis import given
from hypothesis import strategies as st

from tuwen.fetching import bodies, network
from tuwen.fetching.room import Room
from tuwen.fetching.settings import Fetch


async def wants(room: Room, events: list[str], taker: str, num: int) -> None:
    await room.take(taker, num)
    events.append(f"{taker}{num}")


def test_who_finds_no_room_waits_in_line() -> None:
    async def scenario() -> list[str]:
        room, events = Room(3), list[str]()
        await wants(room, events, "a", 2)
        waiting = [asyncio.create_task(wants(room, events, taker, num)) for taker, num in (("b", 2), ("c", 1))]
        await asyncio.sleep(0.01)
        events.append("given back")
        room.give_back("a", 2)
        await asyncio.gather(*waiting)
        return events

    assert asyncio.run(scenario()) == ["a2", "given back", "b2", "c1"]  # what is small does not pass what is large


def test_who_has_its_share_holds_up_nobody_else() -> None:
    async def scenario() -> list[str]:
        room, events = Room(8, 2), list[str]()
        tasks = [asyncio.create_task(wants(room, events, taker, 2)) for taker in "aaabcd"]
        await asyncio.sleep(0.01)
        before = list(events)
        room.give_back("a", 2)
        await asyncio.sleep(0.01)
        assert events == [*before, "a2"]
        for task in tasks:
            task.cancel()
        return before

    assert asyncio.run(scenario()) == ["a2", "b2", "c2", "d2"]


def test_who_gives_up_leaves_no_trace() -> None:
    async def scenario() -> None:
        room, events = Room(2), list[str]()
        await room.take("a", 2)
        early, late, last = (asyncio.create_task(wants(room, events, taker, 2)) for taker in "bcd")
        await asyncio.sleep(0.01)
        early.cancel()
        room.give_back("a", 2)  # before the task can see to its being cancelled: the next is served
        late.cancel()  # in the same moment
        await asyncio.wait_for(last, 1)
        assert events == ["d2"] and early.cancelled() and late.cancelled()

    asyncio.run(scenario())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=40),
    st.integers(4, 9),
)
def test_everybody_is_served_and_nobody_has_too_much(wanted: list[tuple[str, int, int, bool]], size: int) -> None:
    held: Counter[str] = Counter()

    async def use(room: Room, taker: str, num: int, steps: int) -> None:
        await room.take(taker, num)
        held[taker] += num
        assert held[taker] <= 4 and held.total() <= size
        for _ in range(steps):
            await asyncio.sleep(0)
        held[taker] -= num
        room.give_back(taker, num)

    async def scenario() -> None:
        room = Room(size, 4)
        tasks = [asyncio.create_task(use(room, taker, num, steps)) for taker, num, steps, _ in wanted]
        await asyncio.sleep(0)
        for task, (*_, stays) in zip(tasks, wanted, strict=True):
            if not stays and not task.done() and held.total() == 0:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        await asyncio.wait_for(room.take("d", 4), 1)

    held.clear()
    asyncio.run(scenario())


async def drip(exchange: Exchange) -> None:
    """Announces much, sends little of it."""
    await exchange.answer(200, {"Content-Type": "image/jpeg", "Content-Length": str(4 << 20)}, bytes(300 << 10))
    while True:
        await exchange.send(b"a")
        await asyncio.sleep(0.05)


def test_hosts_that_drip_do_not_keep_others_from_their_memory(monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "_ROOM_BYTES", 32 << 20)  # eight bodies of 4 MB

    async def large(exchange: Exchange) -> None:
        await exchange.answer(200, {"Content-Type": "image/jpeg"}, bytes(3 << 20))

    async def scenario(server: HostileServer) -> None:
        settings = Fetch(contact="a@b.test", max_bytes=4 << 20, **server.reachable)
        async with network.Network(settings) as net:
            ask = partial(net.get, max_bytes=4 << 20)
            evil = [server.url(f"/drip-large/{n}", f"evil{n % 2}.test") for n in range(40)]
            held_up = [asyncio.create_task(ask(url, timeout_s=1)) for url in evil]
            await asyncio.sleep(0.3)
            good = [server.url(f"/large/{number}", "good.test") for number in range(6)]
            started = time.monotonic()
            answers = await asyncio.gather(*(ask(url, timeout_s=5) for url in good))
            assert [len(answer.body) for answer in answers] == [3 << 20] * 6 and time.monotonic() - started < 4
            for task in held_up:
                task.cancel()

    with HostileServer(unknown_names="127.0.0.1") as server:
        server.behaviours |= {"/large": large, "/drip-large": drip}
        asyncio.run(scenario(server))


def test_waiting_for_memory_is_not_the_time_of_the_host(monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "_ROOM_BYTES", 1)  # two bodies of 4 MB

    async def large(exchange: Exchange) -> None:
        await exchange.answer(200, {"Content-Length": str(3 << 20)}, bytes(1 << 20))
        await asyncio.sleep(0.4)
        await exchange.send(bytes(2 << 20))

    async def scenario(server: HostileServer) -> None:
        settings = Fetch(contact="a@b.test", max_bytes=4 << 20, read_timeout_s=0.6, **server.reachable)
        async with network.Network(settings) as net:
            urls = [server.url(f"/large/{number}") for number in range(6)]
            answers = await asyncio.gather(*(net.get(url, max_bytes=4 << 20, timeout_s=1.2) for url in urls))
        assert [(answer.error, len(answer.body)) for answer in answers] == [(None, 3 << 20)] * 6
        assert max(answer.elapsed_ms for answer in answers) < 1200

    with HostileServer() as server:
        server.behaviours["/large"] = large
        asyncio.run(scenario(server))


def test_many_large_bodies_are_read_in_turns_and_all_come(monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "_ROOM_BYTES", 1)  # so that twice `max_bytes` are there
    most = in_use = 0
    take, give_back = Room.take, Room.give_back

    async def taking(self: Room, taker: str, num_bytes: int) -> None:
        nonlocal most, in_use
        await take(self, taker, num_bytes)
        in_use += num_bytes
        most = max(most, in_use)

    def giving(self: Room, taker: str, num_bytes: int) -> None:
        nonlocal in_use
        in_use -= num_bytes
        give_back(self, taker, num_bytes)

    monkeypatch.setattr(Room, "take", taking)
    monkeypatch.setattr(Room, "give_back", giving)

    async def large(exchange: Exchange) -> None:
        await exchange.answer(200, {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff" + bytes(3 << 20))

    async def scenario(server: HostileServer) -> list[int]:
        settings = Fetch(contact="a@b.test", max_bytes=4 << 20, **server.reachable)
        async with network.Network(settings) as net:
            urls = [server.url(f"/large/{number}") for number in range(12)]
            answers = await asyncio.gather(*(net.get(url, max_bytes=4 << 20, timeout_s=20) for url in urls))
            return [len(answer.body) for answer in answers]

    with HostileServer() as server:
        server.behaviours["/large"] = large
        assert asyncio.run(scenario(server)) == [3 + (3 << 20)] * 12
    assert 0 < most <= 8 << 20 and in_use == 0
