"""The command line: a thin layer over the Python functions, one file per verb.

A verb is a module with `add_arguments(parser)` and `run(arguments) -> int`. Only the verb that was asked for is
imported, so that `tuwen --help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import NoReturn, Protocol, cast

import tuwen
from tuwen.errors import TuwenError, UsageError, first_line

VERBS = {
    "demo": "walk the whole road on the crawl that ships with tuwen",
    "build": "bring a corpus up to date with a recipe",
    "join": "attach columns that were computed elsewhere, or lists of ids",
    "status": "show what a corpus holds and what is out of date",
    "funnel": "show how many rows each step of a selection refuses",
    "fetches": "show what became of image URLs, why some failed, and what the loss does to the corpus",
    "concepts": "show how often concepts are mentioned, or which pairs mention one",
    "explore": "open a page that shows a corpus, says why, and cuts releases",
    "search": "find pairs and images by words, meaning, image or id",
    "mixture": "compare the sources of a corpus: size, kinds, quality, and what they share",
    "train": "train a model by a recipe, a scorer on the pairs of a selection, or a head on labels of images",
    "calibrate": "tell what a judge is good for, and what it would cost, before it rates a corpus",
    "prove": "tell by training small models whether data or a method is better, with an interval",
    "why": "show the whole life of one image, pair or document",
    "export": "write a corpus as plain Parquet",
    "import": "make a corpus from an export",
    "merge": "make one corpus of two, no row twice",
    "release": "freeze a selection into files that others can use",
    "verify": "check every byte of a release",
    "diff": "compare two releases or selections: rows, columns, settings, and what the rows are like",
    "takedown": "take images, addresses or hosts out of everything, and patch releases",
    "purge": "remove what was taken down from the disk, for good",
    "gc": "free the bytes of images that no selection wants, and keep all that was computed of them",
    "repair": "tell what is left over, lost or wrong in a corpus, and do what is safe about it",
}
INTERRUPTED = 130
OF_THE_MACHINE = {
    "MemoryError": "memory ran out; allow more, or fewer --workers,",
    "No space left": "the disk is full; free some space",
    "OutOfMemoryException": "a query takes more memory than it is given; allow more (TUWEN_MEMORY=4GB, say)",
    "quota exceeded": "the disk quota is used up; free some space",
    "File too large": "a file would be larger than this process may write (ulimit -f); allow more",
    "Too many open files": "more files have to be open at once than this process may (ulimit -n); allow 1024",
}
_A_TABLE = re.compile(r"\.lance\b|LanceError|Invalid range \d+\.\.\d+ for object of size")  # what Lance says of damage
MARKUP = re.compile(r"\[[a-z#/@]", re.IGNORECASE)  # what rich would read as a tag


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
        epilog="exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted",
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
    if named is not None:
        words = getattr(verb_module(named), "spelt_out", list)(words)
    parsed = make_parser([named] if named else []).parse_args(words)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some reads every installed package
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while they wait; we work by processes
    from tuwen.engine.memory import return_freed_memory

    level = os.environ.get("TUWEN_LOG", "WARNING").upper()
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=known.get(level, logging.WARNING), format="%(levelname)s %(message)s")
    try:
        here = Path.cwd()
    except OSError:  # DuckDB would end the process over it
        return _fail("the working folder is gone; change to one that is there and run the same command", 1)
    if getattr(parsed, "allow_code", False):
        sys.path.insert(0, str(here))  # where a module of one's own lies
    try:
        return_freed_memory()
        code = verb_module(parsed.verb).run(parsed)
        sys.stdout.flush()  # a full disk under it is told below
        return code
    except UsageError as error:
        return _fail(error, 2)
    except TuwenError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted; finished work is kept, the same command goes on", INTERRUPTED)
    except Exception as error:
        if not isinstance(error, OSError | ValueError | RuntimeError | MemoryError) and type(error).__module__ in (
            "builtins",
            "tuwen",
        ):
            raise  # a mistake of tuwen's own: show where
        logging.getLogger("tuwen").debug("the error came from here", exc_info=True)
        told = f"{type(error).__name__}: {error}"
        for problem, advice in OF_THE_MACHINE.items():
            if problem in told:
                return _fail(f"{advice} and run the same command", 1)
        if _A_TABLE.search(told) and isinstance(getattr(parsed, "corpus", None), str):
            advice = f"tuwen repair {parsed.corpus} says what can be done about it"
            return _fail(f"a file of the corpus is missing or damaged: {advice} ({first_line(error)})", 1)
        return _fail(f"{told} (TUWEN_LOG=debug shows where)", 1)


def script() -> NoReturn:
    """`main` as a program, which ends at once: taking Lance, DuckDB and Python apart costs a tenth of a short run.

    Whatever `main` began is finished and on disk, or given up, when it returns.
    """
    from tuwen.cli.streams import make_patient

    make_patient()
    try:
        code = main()
    except SystemExit as ended:  # argparse, after help or wrong usage
        code = ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:  # before there was anything to interrupt
        code = INTERRUPTED
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    logging.shutdown()
    os._exit(code)


def print_json(value: object) -> None:
    """Print stable JSON: sorted keys, non-ASCII text as it is."""
    print(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str))


def shown(value: object) -> str:
    """Text of a page, a path or an error as a terminal may see it: no control characters, no rich markup."""
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return text.replace("[", "\\[") if MARKUP.search(text) else text


def positive(word: str) -> int:
    """An argument that counts something."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {word}")
    return number


def plural(number: int, noun: str) -> str:
    """`1 unit`, `2 units`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fail(message: object, code: int) -> int:
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in str(message).splitlines())
    print(f"tuwen: {chr(10).join(lines)}", file=sys.stderr)
    return code
