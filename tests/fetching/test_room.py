"""Memory that large bodies share."""

from __future__ import annotations

import asyncio
from typing import Any

from hostile_server import Exchange, HostileServer

from tuwen.fetching import network
from tuwen.fetching.room import Room
from tuwen.fetching.settings import Fetch


def test_who_finds_no_room_waits_until_some_is_given_back() -> None:
    async def scenario() -> list[str]:
        room, events = Room(3), list[str]()

        async def want(name: str, size: int) -> None:
            await room.take(size)
            events.append(name)

        await want("first", 2)
        waiting = asyncio.create_task(want("second", 2))
        await asyncio.sleep(0.01)
        events.append("given back")
        room.give_back(2)
        await waiting
        return events

    assert asyncio.run(scenario()) == ["first", "given back", "second"]


def test_many_large_bodies_are_read_in_turns_and_all_come(monkeypatch: Any) -> None:
    monkeypatch.setattr(network, "_ROOM_BYTES", 1)  # so that twice `max_bytes` are there
    most = in_use = 0
    take, give_back = Room.take, Room.give_back

    async def taking(self: Room, num_bytes: int) -> None:
        nonlocal most, in_use
        await take(self, num_bytes)
        in_use += num_bytes
        most = max(most, in_use)

    def giving(self: Room, num_bytes: int) -> None:
        nonlocal in_use
        in_use -= num_bytes
        give_back(self, num_bytes)

    monkeypatch.setattr(Room, "take", taking)
    monkeypatch.setattr(Room, "give_back", giving)

    async def large(exchange: Exchange) -> None:
        await exchange.answer(200, {"Content-Type": "image/jpeg"}, b"\xff\xd8\xff" + bytes(3 << 20))

    async def scenario(server: HostileServer) -> list[int]:
        settings = Fetch(contact="x", max_bytes=4 << 20, **server.reachable)
        async with network.Network(settings) as net:
            urls = [server.url(f"/large/{number}") for number in range(12)]
            answers = await asyncio.gather(*(net.get(url, max_bytes=4 << 20, timeout_s=20) for url in urls))
            return [len(answer.body) for answer in answers]

    with HostileServer() as server:
        server.behaviours["/large"] = large
        assert asyncio.run(scenario(server)) == [3 + (3 << 20)] * 12
    assert 0 < most <= 8 << 20 and in_use == 0
