"""`tuwen status DIR`"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from tuwen.cli import plural, print_json, shown
from tuwen.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "--deep", action="store_true", help="read every byte: what is left over, lost or wrong (as tuwen repair tells)"
    )
    parser.add_argument("--allow-code", action="store_true", help="let the corpus name stages as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print rows per table, freshness per stage, damaged units, selections and versions."""
    from tuwen.engine.status import status

    if arguments.deep:
        return _deep(arguments)
    found = status(arguments.corpus, allow_code=arguments.allow_code)
    print_json(found) if arguments.json else print_status(found)
    return 0


def _deep(arguments: argparse.Namespace) -> int:
    """The status, as far as a damaged corpus has one, and what is left over, lost or wrong; 1 if anything is."""
    from tuwen.cli.repair import print_findings
    from tuwen.engine.checkup import examine
    from tuwen.engine.status import status

    findings = examine(arguments.corpus)
    try:
        found = status(arguments.corpus, allow_code=arguments.allow_code)
    except UsageError:
        raise
    except Exception as error:  # damaged files make readers raise whatever they like; the findings tell of them
        found = {"path": str(arguments.corpus), "error": str(error).splitlines()[0]}
    if arguments.json:
        print_json({**found, "findings": [asdict(finding) for finding in findings]})
    else:
        if "error" not in found:
            print_status(found)
        print_findings(findings)
    return 1 if any(finding.is_harm for finding in findings) else 0


def print_status(found: dict[str, Any]) -> None:
    """The status as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    versions = found["versions"]
    if versions:
        console.print(f"{shown(found['path'])}: version {versions[-1]}, format {found['format']}")
    else:
        console.print(
            f"{shown(found['path'])}: no build has finished yet; the same `tuwen build` goes on where it stopped"
        )
    table = Table("table", "rows", "fragments", "columns")
    for name, described in found["tables"].items():
        table.add_row(name, str(described["num_rows"]), str(described["num_fragments"]), str(described["num_columns"]))
    console.print(table)
    stale = any(stage["reasons"] for stage in found["stages"])
    failed = any(stage["errors"] for stage in found["stages"])
    headings = [*(["errors"] if failed else []), *(["out of date because"] if stale else [])]
    table = Table("stage", "table", "rows", "up to date", *headings)
    for stage in found["stages"]:
        cells = [stage["stage"], stage["table"], str(stage["num_rows"]), str(stage["num_fresh"])]
        if failed:
            cells.append(", ".join(f"{count} {kind}" for kind, count in stage["errors"].items()))
        if stale:
            cells.append(shown("; ".join(stage["reasons"])))
        table.add_row(*cells)
    console.print(table)
    for join in found["joins"]:
        columns = shown(", ".join(join["columns"]))
        console.print(
            f"join.{join['name']}: {columns}, on {join['table']}.{join['on']}; {plural(join['num_rows'], 'key')} "
            f"from {shown(join['file'])}, {join['joined_at']}",
            soft_wrap=True,
        )
    for unit in found["damaged_units"]:
        problem = unit["error"] or f"{unit['num_bad_records']} of {plural(unit['num_records'], 'record')} not usable"
        console.print(f"[yellow]{shown(unit['location'])}[/yellow] {problem}: {shown(unit['message'])}", soft_wrap=True)
    for unfinished in found["unfinished"]:
        console.print(f"[yellow]{shown(unfinished)}[/yellow]", soft_wrap=True)
    for unit in found["outdated_units"]:
        console.print(f"{shown(unit['location'])} {shown(unit['message'])}")
    console.print(f"Selections: {', '.join(found['selections']) or 'none'}")
    if saved := found["saved_selections"]:
        console.print(f"Saved by tuwen explore, in its folder selections/: {shown(', '.join(saved))}", soft_wrap=True)
