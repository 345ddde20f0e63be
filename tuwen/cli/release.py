"""`tuwen release DIR --selection NAME --to OUT`"""

from __future__ import annotations

import argparse

FORMATS = ("webdataset", "parquet", "documents", "text", "index", "ids")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--selection", required=True, metavar="NAME", help="a selection of the recipe")
    parser.add_argument("--to", required=True, metavar="OUT", help="new folder")
    parser.add_argument(
        "--format", default="webdataset", help=f"{', '.join(FORMATS)} (default: webdataset), or package.module:Class"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameter of the writer (reencode.short_side=256); may be repeated",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a release that is there")
    parser.add_argument(
        "--require-clean",
        action="store_true",
        help="refuse to release what overlaps with evaluation data or was not compared with any (stages overlap.*)",
    )
    parser.add_argument("--full-ledger", action="store_true", help="every decision with plain ids, for home use only")
    parser.add_argument("--allow-code", action="store_true", help="let names mean package.module:Class")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write the release and say what it holds."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.releases.parameters import parameters_from
    from tuwen.releases.release import release

    manifest = release(
        Corpus.open(arguments.corpus),
        arguments.selection,
        arguments.to,
        arguments.format,
        parameters_from(arguments.set),
        overwrite=arguments.overwrite,
        full_ledger=arguments.full_ledger,
        allow_code=arguments.allow_code,
        require_clean=arguments.require_clean,
    )
    if arguments.json:
        print(manifest.to_bytes().decode(), end="")
    else:
        counts = ", ".join(f"{value} {name}" for name, value in manifest.counts.items() if isinstance(value, int))
        print(f"{arguments.to}: {counts}")
        print(f"Check it: tuwen verify {arguments.to}")
    return 0
