"""`tuwen merge A B --to C`"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tuwen.cli import print_json, shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("first", metavar="A", help="corpus folder; of what both have, its rows")
    parser.add_argument("second", metavar="B", help="another one")
    parser.add_argument("--to", required=True, metavar="C", help="new corpus folder")
    parser.add_argument("--allow-code", action="store_true", help="let the corpora name stages as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Make one corpus of two, and say what came of it."""
    from tuwen.engine.merge import merge

    merged = merge(arguments.first, arguments.second, arguments.to, allow_code=arguments.allow_code)
    if arguments.json:
        print_json(asdict(merged))
        return 0
    for table, added in merged.added.items():
        barred = f", {merged.barred[table]} taken down" if table in merged.barred else ""
        print(f"{table}: {added} added, {merged.known[table]} known already{barred}")
    for note in merged.notes:
        print(shown(note))
    if merged.hidden:
        told = ", ".join(f"{number} of {table}" for table, number in merged.hidden.items())
        print(f"Rows of A that are taken down lie there still, hidden ({told}), until: tuwen purge {arguments.to}")
    print(f"Columns that look at the whole corpus come with the next build: tuwen build RECIPE --corpus {arguments.to}")
    return 0
