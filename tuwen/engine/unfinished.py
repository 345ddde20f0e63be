"""What a run that is cut off leaves for the next: column files that were finished but not committed.

Commits are ten seconds apart, so a kill would cost ten seconds of every worker. Each finished file is therefore noted,
in one line, as soon as it is reported; the next build commits those first. So a kill costs the fragments in hand.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from tuwen.corpus.columns import ColumnFile, commit_columns
from tuwen.corpus.corpus import Corpus
from tuwen.errors import TuwenError
from tuwen.files import regular

FINISHED = "finished.jsonl"


def note_finished(corpus: Corpus, table: str, files: Sequence[ColumnFile]) -> None:
    """Append finished, not yet committed files of a table."""
    with (corpus.path / FINISHED).open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"table": table, **asdict(file)}) + "\n" for file in files)


def forget_finished(corpus: Corpus) -> None:
    """All that was noted is committed."""
    (corpus.path / FINISHED).unlink(missing_ok=True)


def commit_finished(corpus: Corpus) -> int:
    """Commit what a killed run had finished; returns how many files. Only under the write lock.

    A file that no longer fits (its fragment was rewritten, its columns declared anew) stays out; whether one that does
    fit is still fresh, its name tells, as for any other.
    """
    path = corpus.path / FINISHED
    if not path.exists():
        return 0
    by_table: dict[str, list[ColumnFile]] = {}
    for line in regular(path).read_text(encoding="utf-8", errors="replace").splitlines():
        # The last line may be cut off, or any damaged: what is not noted is computed again.
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            described = json.loads(line)
            by_table.setdefault(described.pop("table"), []).append(ColumnFile(**described))
    count = sum(_commit(corpus, table, files) for table, files in by_table.items())
    path.unlink()
    return count


def _commit(corpus: Corpus, table: str, files: list[ColumnFile]) -> int:
    try:
        commit_columns(corpus, table, files)
        return len(files)
    except (TuwenError, OSError, ValueError):
        return sum(_commit(corpus, table, [file]) for file in files) if len(files) > 1 else 0
