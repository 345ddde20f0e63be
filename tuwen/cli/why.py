"""`tuwen why DIR ID`"""

from __future__ import annotations

import argparse

from tuwen.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "id", metavar="ID|FILE", help="id of an image, pair or document, its first characters (4 or more), or an image"
    )
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name steps as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print where the row came from, its columns with the stage that wrote each, and what refused it."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.selections.selection import selections_of
    from tuwen.selections.why import render, why

    corpus = Corpus.open(arguments.corpus)
    life = why(corpus, arguments.id, selections_of(corpus, allow_code=arguments.allow_code))
    if arguments.json:
        print_json(life.to_json())
    else:
        from rich.console import Console

        Console().print(render(life))
    return 0
