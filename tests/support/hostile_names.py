"""A name server that answers from a script: addresses, no such name, a failure, nothing at all, or all of it late.

Part of `hostile_server.HostileServer`. <https://www.rfc-editor.org/rfc/rfc1035#section-4>
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

NXDOMAIN, SERVFAIL, REFUSED, NODATA, SILENT = "NXDOMAIN", "SERVFAIL", "REFUSED", "NODATA", "SILENT"
_RCODES = {NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5, NODATA: 0}
_KINDS = {1: "A", 28: "AAAA"}
_LENGTHS = {1: 4, 28: 16}


class Slow(NamedTuple):
    """An answer that comes after some seconds."""

    seconds: float
    answer: str | tuple[str, ...]


Name = str | tuple[str, ...] | Slow
"""What may be said about a name: an address, several, one of the words above, or any of these late."""


class Query(NamedTuple):
    """One line of the log: `kind` is A, AAAA or a number."""

    time: float
    name: str
    kind: str


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA questions over UDP."""

    def __init__(self, names: Mapping[str, Name], asked: list[Query], unknown: Callable[[], Name]) -> None:
        self._names = names
        self._asked = asked
        self._unknown = unknown

    def connection_made(self, transport: Any) -> None:  # one of asyncio's that only quacks like DatagramTransport
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        end, labels = 12, []
        while data[end]:
            labels.append(data[end + 1 : end + 1 + data[end]].decode("latin-1").lower())
            end += 1 + data[end]
        kind = struct.unpack(">H", data[end + 1 : end + 3])[0]
        name = ".".join(labels)
        self._asked.append(Query(time.monotonic(), name, _KINDS.get(kind, str(kind))))
        answer, delay = self._names.get(name, self._unknown()), 0.0
        if isinstance(answer, Slow):
            delay, answer = answer
        if answer != SILENT:
            reply = _reply(data[:2], data[12 : end + 5], kind, answer)
            asyncio.get_running_loop().call_later(delay, self._transport.sendto, reply, address)


def _reply(identity: bytes, question: bytes, kind: int, answer: str | tuple[str, ...]) -> bytes:
    code = _RCODES.get(answer, 0) if isinstance(answer, str) else 0
    texts = () if answer in _RCODES else (answer,) if isinstance(answer, str) else answer
    packed = [ip_address(text).packed for text in texts]
    records = [address for address in packed if len(address) == _LENGTHS.get(kind)]
    head = identity + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(record)) + record for record in records)
    return head + question + body
