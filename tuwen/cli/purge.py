"""`tuwen purge DIR`"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from tuwen.cli import plural, print_json, shown
from tuwen.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--yes", action="store_true", help="do it without asking for the folder's name")
    parser.add_argument("--dry-run", action="store_true", help="count what would be removed, and change nothing")
    parser.add_argument("--allow-code", action="store_true", help="let the corpus name stages as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Remove what was taken down from the disk, once that is confirmed."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.corpus.rewriting import JOURNAL
    from tuwen.engine.purge import gone_ids, purge

    corpus = Corpus.open(arguments.corpus)
    rows = {table: len(ids) for table, ids in gone_ids(corpus).items()}
    unfinished = JOURNAL.begun(corpus) is not None
    counted = ", ".join(plural(count, table.removesuffix("s")) for table, count in rows.items())
    if arguments.dry_run or not (any(rows.values()) or unfinished):
        if arguments.json:
            print_json({"dry_run": arguments.dry_run, "rows": rows, "unfinished": unfinished})
        elif any(rows.values()) or unfinished:
            print(f"to be removed: {counted or 'nothing'}{', and a purge that was cut off goes on' * unfinished}")
        else:
            print("nothing to remove: nothing that was taken down is on the disk")
        return 0
    if not arguments.yes:
        _ask(corpus.path, counted)
    done = purge(corpus, allow_code=arguments.allow_code)
    if arguments.json:
        print_json({**asdict(done), "dry_run": False, "unfinished": False})
        return 0
    removed = ", ".join(plural(count, table.removesuffix("s")) for table, count in done.rows.items())
    went_on = "the purge that was cut off is finished; " if done.went_on else ""
    print(f"{went_on}removed: {removed or 'nothing more'}; {done.num_bytes_freed / 1e6:.1f} MB freed")
    print(f"corpus version {done.version}; {plural(len(done.versions), 'earlier version')} given up")
    for stage in done.fitted:
        print(f"{shown(stage)} was fitted to rows that are gone; fit it anew: tuwen build RECIPE --corpus DIR --refit")
    return 0


def _ask(path: Path, counted: str) -> None:
    name = path.resolve().name
    asked = f"This removes {counted} from {path} for good, and its earlier versions with them."
    if not sys.stdin.isatty():
        raise UsageError(f"{asked} Say so with --yes; --dry-run counts what would go")
    print(asked)
    if input(f"Type {name} to do it: ").strip() != name:
        raise UsageError("not confirmed; nothing was changed")
