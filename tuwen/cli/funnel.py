"""`tuwen funnel DIR [--selection NAME]`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tuwen.cli import plural, print_json, shown

if TYPE_CHECKING:
    from tuwen.selections.ledger import Ledger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--selection", metavar="NAME", help="one selection of the recipe (default: all)")
    parser.add_argument("--rules", action="store_true", help="also show what each condition of a rule refused")
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name steps as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Judge what is out of date, then print rows judged, lost and left per step."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.selections.ledger import Ledger, funnel_json
    from tuwen.selections.selection import selection_named, selections_of

    corpus = Corpus.open(arguments.corpus)
    selections = selections_of(corpus, allow_code=arguments.allow_code)
    names = [selection_named(selections, arguments.selection).name] if arguments.selection else list(selections)
    ledgers = [Ledger.open_or_judge(corpus, name, selections) for name in names]
    if arguments.json:
        print_json(
            {
                ledger.selection.name: {
                    "unit": ledger.selection.unit,
                    "num_rows": ledger.num_rows,
                    "num_kept": ledger.num_kept,
                    "steps": funnel_json(ledger.funnel()),
                }
                for ledger in ledgers
            }
        )
    else:
        for ledger in ledgers:
            print_funnel(ledger, rules=arguments.rules)
    return 0


def print_funnel(ledger: Ledger, *, rules: bool = False) -> None:
    """The funnel as a table with a bar for what is left."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "step",
        "judged",
        "lost",
        "left",
        "",
        title=f"{ledger.selection.name}: {ledger.num_kept} of {plural(ledger.num_rows, ledger.selection.unit)}",
        title_justify="left",
    )
    for step in ledger.funnel():
        share = step.left / ledger.num_rows if ledger.num_rows else 0.0
        left = str(step.left) if step.expected is None else f"{step.left} [dim](expected {step.expected})[/dim]"
        table.add_row(shown(step.name), str(step.judged), str(step.lost), left, "█" * round(20 * share))
        for rule in step.rules if rules else ():
            table.add_row(f"  [dim]{shown(rule.rule)}[/dim]", "", f"[dim]{rule.lost}[/dim]", "", "")
    Console().print(table)
