"""What judges have replied, in a small SQLite file that several processes may share, so that nothing is paid twice.

A question is known by the digest of all that a reply depends on; neither images nor texts lie in the file, but replies
do, and they may speak of both. It is safe to delete: then everything is asked again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

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
    """Replies and the seconds that each took, by question. `path` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def get(self, questions: Sequence[bytes]) -> dict[bytes, tuple[Reply, float]]:
        """Those of the questions that have a reply."""
        if self._path is None or not self._path.exists():
            return {}
        found: dict[bytes, tuple[Reply, float]] = {}
        with closing(self._open()) as database:
            query = "select reply, error, tokens_in, tokens_out, seconds from replies where question = ?"
            for each in dict.fromkeys(questions):
                if row := database.execute(query, (each,)).fetchone():
                    found[each] = Reply(*row[:4]), row[4]
        return found

    def put(self, question: bytes, reply: Reply, seconds: float) -> None:
        """Keep a reply at once; one that failed for a passing reason is not kept."""
        if self._path is None or not reply.is_final:
            return
        row = (question, reply.text, reply.error, reply.tokens_in, reply.tokens_out, seconds)
        with closing(self._open()) as database, database:
            database.execute("insert or replace into replies values (?, ?, ?, ?, ?, ?)", row)

    def _open(self) -> sqlite3.Connection:
        assert self._path is not None
        try:
            database = sqlite3.connect(self._path, timeout=_WAIT_S)
            database.execute(_TABLE)
        except sqlite3.Error as error:
            raise TuwenError(f"{self._path} cannot be used ({error}); delete it and run the same command") from error
        return database
