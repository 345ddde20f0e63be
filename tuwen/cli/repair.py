"""`tuwen repair DIR`"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tuwen.cli import plural, print_json, shown

if TYPE_CHECKING:
    from tuwen.engine.checkup import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--yes", action="store_true", help="do what is safe; without it, only tell")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Tell what was found and what is safe; do it with --yes. The exit code is 1 while anything is lost or wrong."""
    from tuwen.engine.checkup import examine
    from tuwen.engine.repair import Repaired, repair

    if arguments.yes:
        repaired = repair(arguments.corpus)
    else:
        found = examine(arguments.corpus)
        repaired = Repaired(found, [], found)
    if arguments.json:
        print_json(asdict(repaired))
    else:
        print_findings(repaired.found)
        for finding in repaired.done:
            print(f"done: {finding.action.replace('_', ' ') if finding.action else ''}: {shown(finding.place)}")
        safe = sum(finding.action is not None for finding in repaired.left)
        if safe and not arguments.yes:
            print(f"{plural(safe, 'finding')} can be settled safely: tuwen repair {arguments.corpus} --yes")
        elif repaired.done:
            print(f"{plural(len(repaired.left), 'finding')} left")
    return 1 if any(finding.is_harm for finding in repaired.left) else 0


def print_findings(found: Sequence[Finding]) -> None:
    """Each finding: what and where, why, and what to do."""
    for finding in found:
        size = f" ({finding.num_bytes / 1e6:.1f} MB)" if finding.num_bytes else ""
        print(f"{finding.kind.replace('_', ' ')}: {shown(finding.place)}{size}")
        print(f"  {shown(finding.what)}")
        print(f"  {shown(finding.advice)}")
    if not found:
        print("nothing is left over, lost or wrong")
