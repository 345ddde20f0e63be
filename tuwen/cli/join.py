"""`tuwen join DIR FILE --on KEY`"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from tuwen.cli import plural, positive, print_json, shown
from tuwen.errors import UsageError

if TYPE_CHECKING:
    from tuwen.engine.join import Joined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="Parquet, CSV, TSV, JSON lines, .npy, a list of ids, or a folder of them",
    )
    parser.add_argument(
        "--on",
        metavar="KEY",
        help="image_id, sha256, pair_id, url, document_id, a column of pairs (uid), or TABLE.COLUMN",
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="name of the join (default: the file's)")
    parser.add_argument("--key", metavar="COLUMN", help="column of FILE with the keys (default: of the name of KEY)")
    parser.add_argument("--columns", metavar="A,B=NEW", help="columns to take, renamed where it says so (default: all)")
    parser.add_argument(
        "--rows", metavar="FILE", help="the keys of the rows of an .npy: Parquet, or text with one a line"
    )
    parser.add_argument(
        "--duplicates",
        choices=["refuse", "first"],
        default="refuse",
        help="rows with one key and different values (default: refuse)",
    )
    parser.add_argument("--drop", metavar="NAME", help="remove a join and its columns")
    parser.add_argument("--workers", type=positive, metavar="N", help="worker processes (default: one per core)")
    parser.add_argument("--allow-code", action="store_true", help="let the corpus name stages as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Join, or drop a join, and say what matched."""
    from tuwen.engine.join import broken_selections, drop_join, join

    if arguments.drop:
        if arguments.file or arguments.on:
            raise UsageError("--drop NAME removes a join; it takes no FILE and no --on")
        columns = drop_join(arguments.corpus, arguments.drop)
        if arguments.json:
            print_json({"dropped": arguments.drop, "columns": columns})
        else:
            print(f"dropped {arguments.drop}: {', '.join(columns)}")
            if broken := broken_selections(arguments.corpus, allow_code=arguments.allow_code):
                print(
                    f"  {', '.join(broken)}: {'this selection reads' if len(broken) == 1 else 'these selections read'} "
                    "a column that is not there; take it out of the recipe, or join the file again, before you build"
                )
        return 0
    if not arguments.file or not arguments.on:
        raise UsageError("name a FILE and, with --on KEY, what its rows are joined by")
    joined = join(
        arguments.corpus,
        arguments.file,
        arguments.on,
        name=arguments.name,
        columns=[word.strip() for word in arguments.columns.split(",")] if arguments.columns else (),
        key=arguments.key,
        rows=arguments.rows,
        duplicates=arguments.duplicates,
        workers=arguments.workers or os.cpu_count() or 1,
        quiet=arguments.json,
        allow_code=arguments.allow_code,
    )
    print_json(asdict(joined)) if arguments.json else print_joined(joined)
    return 0


def print_joined(joined: Joined) -> None:
    """What a join came to, in a few lines."""
    print(f"join.{joined.name}: {', '.join(map(shown, joined.columns))}, on {joined.table}.{joined.on}")
    print(f"  {joined.num_matched} of {plural(joined.num_rows, 'key')} of the file are in the corpus", end="")
    print(f"; not: {', '.join(map(shown, joined.unmatched))} …" if joined.unmatched else "")
    print(f"  {joined.num_table_matched} of {joined.num_table_rows} {joined.table} have values", end="")
    print(f"; not: {', '.join(map(shown, joined.unmatched_in_table))} …" if joined.unmatched_in_table else "")
    if joined.num_duplicates:
        print(f"  {plural(joined.num_duplicates, 'row')} repeated a key")
    if joined.num_without_key:
        print(f"  {plural(joined.num_without_key, 'row')} without a key")
    if not joined.num_rows_computed:
        print("  nothing to do: the values are there already")
