"""The command line: a thin layer over the Python functions, one file per verb.

A verb is a module with `add_arguments(parser)` and `run(arguments) -> int`. Only the verb that was asked for is
imported, so that `tuwen --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from typing import Protocol, cast

import tuwen
from tuwen.errors import TuwenError, UsageError

VERBS = {
    "demo": "walk the whole road on the crawl that ships with tuwen",
    "build": "bring a corpus up to date with a recipe",
    "status": "show what a corpus holds and what is out of date",
    "funnel": "show how many rows each step of a selection refuses",
    "why": "show the whole life of one image, pair or document",
    "export": "write a corpus as plain Parquet",
    "import": "make a corpus from an export",
    "release": "freeze a selection into files that others can use",
    "verify": "check every byte of a release",
}
INTERRUPTED = 130


class Verb(Protocol):
    """What each module of this package offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


def verb_module(name: str) -> Verb:
    """The module behind a verb."""
    module = importlib.import_module(f"tuwen.cli.{name}_" if name == "import" else f"tuwen.cli.{name}")
    return cast(Verb, module)


def make_parser(verbs: list[str]) -> argparse.ArgumentParser:
    """The parser; only the arguments of `verbs` are declared, the others are listed with their summary."""
    parser = argparse.ArgumentParser(
        prog="tuwen",
        description="tuwen (图文): from raw web to a proven image-text corpus.",
        epilog="exit codes: 0 fine, 1 failed, 2 wrong usage",
    )
    parser.add_argument("--version", action="version", version=f"tuwen {tuwen.__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in verbs:
            verb_module(name).add_arguments(command)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    named = next((word for word in words if word in VERBS), None)
    parsed = make_parser([named] if named else []).parse_args(words)
    from tuwen.engine.memory import return_freed_memory

    logging.basicConfig(level=os.environ.get("TUWEN_LOG", "WARNING").upper(), format="%(levelname)s %(message)s")
    try:
        return_freed_memory()
        return verb_module(parsed.verb).run(parsed)
    except UsageError as error:
        return _fail(error, 2)
    except TuwenError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted; finished work is kept, the same command goes on", INTERRUPTED)
    except BrokenPipeError:  # `tuwen … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if "No space left" not in str(error):
            raise
        return _fail(f"the disk is full ({error}); free some space and run the same command: finished work is kept", 1)


def print_json(value: object) -> None:
    """Print stable JSON: sorted keys, non-ASCII text as it is."""
    print(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str))


def _fail(message: object, code: int) -> int:
    print(f"tuwen: {message}", file=sys.stderr)
    return code
