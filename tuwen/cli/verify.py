"""`tuwen verify OUT`"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tuwen.cli import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("release", metavar="OUT", help="release folder")
    parser.add_argument("--allow-code", action="store_true", help="let the writer be package.module:Class")
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print every problem; the exit code is 1 if there is one."""
    from tuwen.releases.verify import verify

    problems = verify(arguments.release, allow_code=arguments.allow_code)
    if arguments.json:
        print_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            print(problem)
        told = (
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            if problems
            else "every byte is as it should be"
        )
        print(f"{arguments.release}: {told}")
    return 1 if problems else 0
