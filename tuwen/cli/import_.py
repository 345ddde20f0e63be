"""`tuwen import FOLDER --corpus DIR`"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("export", metavar="FOLDER", help="folder written by `tuwen export`")
    parser.add_argument("--corpus", required=True, metavar="DIR", help="new corpus folder")


def run(arguments: argparse.Namespace) -> int:
    """Make a corpus equal to the one that was exported."""
    from tuwen.corpus.transfer import import_corpus

    corpus = import_corpus(arguments.export, arguments.corpus)
    print(f"{corpus.path}: {', '.join(f'{corpus.count(name)} {name}' for name in ('documents', 'images', 'pairs'))}")
    return 0
