"""`tuwen gc DIR`"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from tuwen.cli import plural, print_json
from tuwen.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "--selection", action="append", default=[], metavar="NAME", help="keep its images (default: of all selections)"
    )
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", action="store_true", help="count what would be freed, and change nothing")
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name steps as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Free bytes of images that no selection wants, once that is confirmed."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.engine.gc import free

    corpus = Corpus.open(arguments.corpus)
    options = {"allow_code": arguments.allow_code}
    if not (arguments.dry_run or arguments.yes):
        planned = free(corpus, arguments.selection, dry_run=True, **options)
        if planned.num_images:
            _ask(planned.num_images, planned.num_bytes, planned.selections)
    done = free(corpus, arguments.selection, dry_run=arguments.dry_run, **options)
    if arguments.json:
        print_json({**asdict(done), "dry_run": arguments.dry_run})
        return 0
    freed = f"{plural(done.num_images, 'image')}, {done.num_bytes / 1e6:.1f} MB"
    verb = "would be freed" if arguments.dry_run else "freed"
    print(f"{verb}: {freed}; {done.num_wanted} wanted by {', '.join(done.selections)}")
    if done.num_without:
        print(f"{plural(done.num_without, 'image')} had no bytes before")
    if done.versions:
        print(f"corpus version {done.version}; {plural(len(done.versions), 'earlier version')} given up")
    return 0


def _ask(num_images: int, num_bytes: int, selections: list[str]) -> None:
    asked = (
        f"This frees the bytes ({num_bytes / 1e6:.1f} MB) of {plural(num_images, 'image')} that none of "
        f"{', '.join(selections)} keeps. They cannot be had back, and earlier corpus versions go."
    )
    if not sys.stdin.isatty():
        raise UsageError(f"{asked} Say so with --yes; --dry-run only counts")
    print(asked)
    if input("Type yes to do it: ").strip() != "yes":
        raise UsageError("not confirmed; nothing was changed")
