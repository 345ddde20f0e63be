"""Site files as they were answered, for up to a day, and for how long hosts want to be left alone, in a small SQLite
file that several processes may share.

It is a cache: whatever is wrong with the file, it is made anew, or done without.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from tuwen.fetching.robots_txt import LARGEST

VALID_S = 24 * 3600.0
"""RFC 9309, 2.4: what a cached robots.txt is good for."""
RETRY_S = 300.0
"""After this long a file that could not be had is asked for once more; other runs ask at once."""

LONGEST_REST_S = 30 * 24 * 3600.0
"""What a host asks for beyond it is taken for a mistake."""

_FORMAT = 1
_TABLE = """
create table if not exists site_files (
    origin text not null, path text not null, asked_at real not null, run text, status integer, error text,
    body blob not null, primary key (origin, path)
) without rowid
"""
_RESTS = "create table if not exists rests (origin text primary key, until real not null) without rowid"


@dataclass(frozen=True)
class SiteFile:
    """One answer. `error` is a key of OUTCOMES, `asked_at` in seconds since 1970; `body` only if it says something."""

    status: int | None
    error: str | None
    body: bytes
    asked_at: float
    is_final: bool
    """Whether it is an answer that counts for a day, rather than a failure of the moment."""

    @property
    def valid_until(self) -> float:
        return self.asked_at + (VALID_S if self.is_final else RETRY_S)


class SiteCache:
    """Answers by origin and path. Never raises; what cannot be written is asked for again when memory forgets it.

    `path` None keeps them in a temporary file of the process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._run = secrets.token_hex(8)
        self._database = self._open()

    def get(self, origin: str, path: str) -> SiteFile | None:
        """What was answered, if that was less than a day ago, or in this run and a failure of the last minutes."""
        query = "select asked_at, run, status, error, body from site_files where origin = ? and path = ?"
        try:
            row = self._database.execute(query, (origin, path)).fetchone()
            if row is None:
                return None
            asked_at, run, status, error, body = row
            file = SiteFile(status, error, _unpacked(body), float(asked_at), is_final=run is None)
        except sqlite3.OperationalError:  # locked, or the disk fails
            return None
        except (sqlite3.Error, zlib.error, TypeError, ValueError):
            self._recreate()
            return None
        in_time = file.asked_at <= time.time() < file.valid_until
        return file if in_time and run in (None, self._run) else None

    def put(self, origin: str, path: str, file: SiteFile) -> None:
        """Remember an answer."""
        body = zlib.compress(file.body, 1) if file.body else b""
        run = None if file.is_final else self._run
        row = (origin, path, file.asked_at, run, file.status, file.error, body)
        self._write("insert or replace into site_files values (?, ?, ?, ?, ?, ?, ?)", row)

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        try:
            self._database.execute(statement, row)
        except sqlite3.OperationalError:
            return
        except sqlite3.Error:
            self._recreate()

    def rests(self) -> dict[str, float]:
        """Seconds from now for which origins want no requests."""
        now = time.time()
        query = "select origin, until from rests where until between ? and ?"
        try:
            rows = self._database.execute(query, (now, now + LONGEST_REST_S)).fetchall()
            return {str(origin): float(until) - now for origin, until in rows}
        except sqlite3.OperationalError:
            return {}
        except (sqlite3.Error, TypeError, ValueError):
            self._recreate()
            return {}

    def put_rest(self, origin: str, seconds: float) -> None:
        """Remember that an origin wants no requests for so long."""
        row = (origin, time.time() + min(seconds, LONGEST_REST_S))
        self._write("insert or replace into rests values (?, ?)", row)

    def close(self) -> None:
        """Close the file. What comes after is not remembered."""
        self._database.close()
        self._path = None
        self._database = self._connect(None)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect(self._path)
        except sqlite3.OperationalError:  # not to be opened, or locked
            return self._connect(None)
        except (sqlite3.Error, OSError):
            return self._afresh()

    def _recreate(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        self._database = self._afresh()

    def _afresh(self) -> sqlite3.Connection:
        """An empty file instead of a broken one."""
        try:
            if self._path is not None:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            return self._connect(self._path)
        except (sqlite3.Error, OSError):
            return self._connect(None)

    def _connect(self, path: Path | None) -> sqlite3.Connection:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path or "", timeout=1.0, isolation_level=None)
        try:
            if database.execute("pragma user_version").fetchone()[0] not in (0, _FORMAT):
                raise sqlite3.DatabaseError("a cache of another version")
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = off")
            database.execute(_TABLE)
            database.execute(_RESTS)
            database.execute(f"pragma user_version = {_FORMAT}")
            with contextlib.suppress(sqlite3.OperationalError):  # somebody else is writing: next time
                database.execute("delete from site_files where asked_at < ?", (time.time() - VALID_S,))
                database.execute("delete from rests where until < ?", (time.time(),))
        except BaseException:
            database.close()
            raise
        return database


def _unpacked(body: bytes) -> bytes:
    return zlib.decompressobj().decompress(body, LARGEST) if body else b""
