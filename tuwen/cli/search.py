"""`tuwen search DIR [TEXT] [--image FILE] [--id ID]`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tuwen.cli import plural, positive, print_json, shown
from tuwen.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from tuwen.engine.search import Found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.usage = "tuwen search DIR [TEXT] [options]"  # argparse takes no TEXT behind an option
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("text", metavar="TEXT", nargs="?", help="text to look for, in any language")
    parser.add_argument(
        "--by",
        choices=["words", "meaning", "both"],
        default="words",
        help="look for the words of TEXT in the texts of pairs, for its meaning among the vectors of images, or both",
    )
    parser.add_argument("--image", metavar="FILE", action="append", default=[], help="look for images like this one")
    parser.add_argument(
        "--id", metavar="ID", action="append", default=[], help="look for more like this image or pair of the corpus"
    )
    parser.add_argument(
        "--weight",
        metavar="PART=NUMBER",
        action="append",
        default=[],
        help="how much words, meaning, image or id count in a mix (default: 1 each)",
    )
    parser.add_argument("--where", metavar="RULE", help="only rows for which this is true, as in a selection's rule")
    parser.add_argument("--unit", choices=["pair", "image"], help="what to find (default: pairs by words, else images)")
    parser.add_argument("--column", metavar="NAME", help="vectors to compare (default: embedding of images)")
    parser.add_argument("--model", metavar="MODEL", help="what made the vectors, where the corpus does not know")
    parser.add_argument("--top", metavar="K", type=positive, default=10, help="hits to show (default: 10)")
    parser.add_argument(
        "--collapse", metavar="COSINE", type=float, default=0.94, help="near-duplicates from here on (default: 0.94)"
    )
    parser.add_argument("--no-collapse", action="store_true", help="list near-duplicates too")
    parser.add_argument("--show-unsafe", action="store_true", help="list what a safety column speaks against, too")
    parser.add_argument("--save-ids", metavar="FILE.txt", help="write the ids of the hits, for tuwen join")
    parser.add_argument("--index", action="store_true", help="make the indexes of the corpus, or bring them up to date")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Index, search, or both."""
    from tuwen.engine.search import save_ids, search

    if arguments.index:
        _index(arguments)
        if arguments.text is None and not arguments.image and not arguments.id:
            return 0
    found = search(
        arguments.corpus,
        arguments.text,
        by=arguments.by,
        images=arguments.image,
        ids=arguments.id,
        weights=dict(map(_weight, arguments.weight)),
        where=arguments.where,
        unit=arguments.unit,
        column=arguments.column,
        model=arguments.model,
        top=arguments.top,
        collapse=None if arguments.no_collapse else arguments.collapse,
        unsafe=arguments.show_unsafe,
    )
    if arguments.save_ids:
        save_ids(found, arguments.save_ids)
    if arguments.json:
        print_json(found.to_json())
        return 0
    from rich.console import Console

    print_found(Console(), found)
    if arguments.save_ids:
        print_next(found, arguments.corpus, Path(arguments.save_ids))
    return 0


def print_found(console: Console, found: Found) -> None:
    """Hits as a table, then what else to know."""
    from rich.table import Column, Table

    if found.hits:
        table = Table(Column("score", justify="right"), "text", "source", "id", "similar")
        for hit in found.hits:
            text = hit.text or ""
            text = text if len(text) <= 200 else f"{text[:200]}…"
            source = f"{hit.source or ''} {hit.text_source or ''}".strip()
            similar = f"+{hit.num_similar}" if hit.num_similar else ""
            table.add_row(f"{hit.score:.3f}", shown(text), shown(source), hit.id[:12], similar)
        console.print(table)
    shown_units = plural(len(found.hits), found.unit) if found.hits else f"no {found.unit}s"
    console.print(f"{shown_units} found.", highlight=False)
    if found.num_taken_down:
        console.print(f"{plural(found.num_taken_down, found.unit)} taken down and not listed.", highlight=False)
    if found.num_not_scored:
        console.print(f"Of {plural(found.num_not_scored, 'hit')} nothing is known of safety.", highlight=False)
    for note in found.notes:
        console.print(shown(f"{note[0].upper()}{note[1:]}."), highlight=False, soft_wrap=True)


def print_next(found: Found, corpus: str, file: Path) -> None:
    """How the hits become a selection."""
    from tuwen.engine.search import key_column

    name = "".join(character if character.isalnum() and character.isascii() else "_" for character in file.stem)
    print(f"{plural(len(found.hits), 'id')} in {shown(file)}. To select them:")
    print(f"  tuwen join {shown(corpus)} {shown(file)} --on {key_column(found)} --as {name}")
    print("and in the recipe:")
    print(f"  {name}: {{unit: {found.unit}, steps: [{{rule: {name}}}]}}")


def _index(arguments: argparse.Namespace) -> None:
    from tuwen.engine.search_indexes import make_indexes

    for state in make_indexes(arguments.corpus, arguments.column):
        print(f"index on {state.table}.{state.column}: {state.num_rows:,} rows", file=sys.stderr)


def _weight(word: str) -> tuple[str, float]:
    part, _, number = word.partition("=")
    try:
        return part, float(number)
    except ValueError:
        raise UsageError(f"--weight {word}: write PART=NUMBER, for example words=2") from None
