"""`tuwen diff A B`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tuwen.cli import plural, print_json, shown

if TYPE_CHECKING:
    from tuwen.releases.diff import Diff, Distribution

LISTED = 3
MAX_VALUE = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    place = "a release folder, or a selection of a corpus as CORPUS:NAME"
    parser.add_argument("before", metavar="A", help=place)
    parser.add_argument("after", metavar="B", help="another one")
    parser.add_argument("--allow-code", action="store_true", help="let names mean package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what was added, removed and changed, and how the rows are different."""
    from tuwen.releases.diff import diff

    found = diff(arguments.before, arguments.after, allow_code=arguments.allow_code)
    print_json(found.to_json()) if arguments.json else _print(found)
    return 0


def _print(found: Diff) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"A: {shown(found.before.name)}\nB: {shown(found.after.name)}", soft_wrap=True)
    if found.is_empty:
        console.print("No difference: equal rows, equal columns, equal settings.")
        return
    table = Table("", "A", "B", "added", "removed", "in both", "changed")
    a, b, unit = found.before, found.after, found.before.unit
    table.add_row(f"{unit}s", *_cells(a.num_rows, b.num_rows, found.rows), str(found.num_changed))
    for noun, one, two, change in (
        ("images", a.num_images, b.num_images, found.images),
        ("documents", a.num_documents, b.num_documents, found.documents),
    ):
        if (one or two) and noun != f"{unit}s":
            table.add_row(noun, *_cells(one, two, change), "")
    console.print(table)
    for what, columns in (("only in B", found.added_columns), ("only in A", found.removed_columns)):
        if columns:
            console.print(f"columns {what}: {shown(', '.join(columns))}")
    for column, count in found.changed_columns.items():
        console.print(f"{shown(column)}: changed in {plural(count, 'row')}")
    for setting in found.settings:
        console.print(f"{shown(setting.name)}: {_value(setting.before)} → {_value(setting.after)}", soft_wrap=True)
    shifted = [each for each in found.distributions if each.distance]
    if shifted:
        console.print(_shifts(shifted, a.num_rows, b.num_rows))


def _cells(one: int, two: int, change: object) -> list[str]:
    return [str(one), str(two), *(str(getattr(change, name)) for name in ("added", "removed", "kept"))]


def _shifts(shifted: list[Distribution], num_a: int, num_b: int) -> object:
    from rich.table import Table

    table = Table("property", "distance", "value", "share in A", "share in B")
    for each in shifted:
        for place, shift in enumerate(each.shifts[:LISTED]):
            head = ["", ""] if place else [each.name, f"{each.distance:.3f}"]
            shares = f"{shift.before / num_a:.1%}", f"{shift.after / num_b:.1%}"
            table.add_row(*head, shown(shift.value) or "(none)", *shares)
    return table


def _value(value: object) -> str:
    text = shown("not set" if value is None else value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"
