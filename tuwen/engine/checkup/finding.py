"""What a deep look at a corpus found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is not as a finished run leaves it.

    `action` names what `tuwen repair` does about it; None: nothing is safe, or nothing needs to be done. Whatever it
    does loses nothing that is still there: it removes files that nothing names, and forgets what can be made again.
    """

    kind: str
    place: str  # file, table or column, relative to the corpus
    what: str  # in a sentence
    advice: str  # what to do, or that nothing has to be done
    action: str | None = None
    paths: tuple[str, ...] = ()  # files, relative to the corpus
    num_bytes: int = 0

    @property
    def is_harm(self) -> bool:
        """Whether something is lost or wrong, rather than left over or to be known."""
        return self.kind in HARM


ROWS_LOST = "put back a copy of the file, as the rows are nowhere else; or build another corpus from the sources"
HARM = frozenset(
    [
        "damaged_table",
        "older_table",
        "missing_file",
        "damaged_file",
        "wrong_bytes",
        "duplicate_rows",
        "unsealed_rows",
        "damaged_index",
        "damaged_ledger",
        "damaged_join",
        "damaged_version",
        "damaged_json",
    ]
)
