"""What was joined to a corpus: columns that were computed elsewhere, each with its file, digest and date.

A join lies in the corpus' folder `joins` as two files: `NAME-CONTENT.arrow`, the rows of the file sorted by key, and
`NAME.json`, which names it. The JSON is written last, so a join exists whole or not at all; what no JSON names is
rubbish of a killed run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import read_json, write_json
from tuwen.errors import TuwenError, UsageError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a join and of its columns
FOLDER = "joins"
PREFIX = "join."  # of the stage that writes a join's columns


@dataclass(frozen=True)
class JoinRecord:
    """`joins/NAME.json`.

    `columns` maps a column to where it came from (`column` of the file, `type`); `request` is what was asked for,
    with the SHA-256 of every file read, so that asking again is known to be the same.
    """

    name: str
    table: str
    on: str  # column of the table
    content: str  # digest of the sorted rows, key and values
    is_list: bool  # ids alone: one boolean column, true where listed and false elsewhere
    columns: dict[str, dict[str, str]]
    request: dict[str, Any]
    file: str  # name, without the folder: that belongs to a machine
    num_rows: int  # distinct keys
    num_duplicates: int
    num_without_key: int
    joined_at: str  # ISO 8601, UTC

    @property
    def stage(self) -> str:
        """Name of the stage that writes the columns."""
        return f"{PREFIX}{self.name}"

    @property
    def state(self) -> str:
        """Path of the sorted rows, relative to the corpus."""
        return state_path(self.name, self.content)

    @property
    def provenance(self) -> dict[str, Any]:
        """What a release tells of the join: neither when nor from where it was made, nor in what order."""
        told = ("name", "table", "on", "content", "columns", "num_rows")
        return {name: getattr(self, name) for name in told}


def state_path(name: str, content: str) -> str:
    """Path of the sorted rows of a join, relative to the corpus. Rows that change have another file."""
    if not content.isalnum():
        raise TuwenError(f"the join {name!r} has the digest {content!r}, which is none; import the corpus again")
    return f"{FOLDER}/{_checked(name)}-{content}.arrow"


def joins_of(path: Path) -> list[JoinRecord]:
    """The joins of the corpus at `path`, by name."""
    return [JoinRecord(**read_json(file)) for file in sorted((path / FOLDER).glob("*.json"))]


def save_join(path: Path, record: JoinRecord) -> None:
    """Make a join, whose sorted rows are there, part of the corpus."""
    write_json(path / FOLDER / f"{_checked(record.name)}.json", asdict(record))


def forget_join(path: Path, name: str) -> bool:
    """Take a join out of the corpus; its rows and columns are the caller's to remove. False: there is none."""
    file = path / FOLDER / f"{_checked(name)}.json"
    known = file.exists()
    file.unlink(missing_ok=True)
    return known


def unnamed_states(path: Path, joins: Mapping[str, JoinRecord]) -> list[Path]:
    """Sorted rows that no join names: of joins that were dropped, replaced or killed."""
    named = {path / record.state for record in joins.values()}
    return [file for file in sorted((path / FOLDER).glob("*")) if file.suffix != ".json" and file not in named]


def _checked(name: str) -> str:
    """The name, which becomes that of a file."""
    if not NAME.fullmatch(name):
        raise UsageError(f"a join's name is a word of letters, digits and _, got {name!r}")
    return name
