"""`tuwen export DIR --to parquet`"""

from __future__ import annotations

import argparse

from tuwen.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--to", choices=["parquet"], default="parquet", help="format")
    parser.add_argument("--out", metavar="FOLDER", help="new folder (default: DIR-parquet)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Export every table, column and ledger."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.corpus.transfer import export_corpus

    out = arguments.out or f"{arguments.corpus.rstrip('/')}-parquet"
    rows = export_corpus(Corpus.open(arguments.corpus), out)
    if arguments.json:
        print_json({"out": out, "rows": rows})
    else:
        print(f"{out}: {', '.join(f'{count} {table}' for table, count in rows.items())}")
        print(f"Back again: tuwen import {out} --corpus NEW_DIR")
    return 0
