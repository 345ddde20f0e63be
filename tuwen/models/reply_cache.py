"""What judges have replied, in a small SQLite file that several processes may share, so that nothing is paid twice.

A question is known by the digest of all that a reply depends on; neither images nor texts lie in the file, but replies
do, and they may speak of both. It is safe to delete: then everything is asked again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tuwen.errors import TuwenError
from tuwen.models.judge import Reply

_TABLE = (
    "create table if not exists replies (question blob primary key, reply text, error text, tokens_in integer, "
    "tokens_out integer, seconds real) without rowid"
)
_WAIT_S = 60.0  # for another process that writes


def question(*parts: object) -> bytes:
    """Digest of what a reply depends on."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.digest()


class ReplyCache:
    """Replies and the seconds that each took, by question; a context. `path` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            with self._told():
                self._database = sqlite3.connect(self._path, timeout=_WAIT_S, check_same_thread=False)
                # Each reply is on its way to the disk when it is kept; only a power cut may cost the last ones.
                self._database.executescript("pragma journal_mode = wal; pragma synchronous = normal;")
                self._database.execute(_TABLE)
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def get(self, questions: Sequence[bytes]) -> dict[bytes, tuple[Reply, float]]:
        """Those of the questions that have a reply."""
        found: dict[bytes, tuple[Reply, float]] = {}
        query = "select reply, error, tokens_in, tokens_out, seconds from replies where question = ?"
        if self._database is None:
            return found
        with self._told():
            for each in dict.fromkeys(questions):
                if row := self._database.execute(query, (each,)).fetchone():
                    found[each] = Reply(*row[:4]), row[4]
        return found

    def put(self, question: bytes, reply: Reply, seconds: float) -> None:
        """Keep a reply at once; one that failed for a passing reason is not kept."""
        if self._database is None or not reply.is_final:
            return
        row = (question, reply.text, reply.error, reply.tokens_in, reply.tokens_out, seconds)
        with self._told(), self._database:
            self._database.execute("insert or replace into replies values (?, ?, ?, ?, ?, ?)", row)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise TuwenError(f"{self._path} cannot be used ({error}); delete it and run the same command") from error
