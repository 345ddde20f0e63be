"""`tuwen concepts DIR [CONCEPT]`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tuwen.cli import plural, positive, print_json, shown

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "concept", metavar="CONCEPT", nargs="?", help="show which pairs mention this (default: how often each is)"
    )
    parser.add_argument("--selection", metavar="NAME", help="only pairs that this selection keeps (default: all)")
    parser.add_argument("--entries", metavar="FILE", help="write every entry with its count, as JSON lines (.jsonl)")
    parser.add_argument("--shown", metavar="N", type=positive, default=20, help="rows to show (default: 20)")
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name parts as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the frequency report, or the pairs that mention a concept."""
    from tuwen.engine.concepts import concept_pairs, concept_report
    from tuwen.errors import UsageError

    options = {"num_shown": arguments.shown, "allow_code": arguments.allow_code}
    if arguments.concept is None:
        found = concept_report(arguments.corpus, arguments.selection, entries=arguments.entries, **options)
    elif arguments.entries is not None:
        raise UsageError("--entries writes the whole list; leave the concept out")
    else:
        found = concept_pairs(arguments.corpus, arguments.concept, arguments.selection, **options)
    if arguments.json:
        print_json(found)
    else:
        from rich.console import Console

        (print_report if arguments.concept is None else print_pairs)(Console(), found)
    return 0


def print_report(console: Console, found: dict[str, Any]) -> None:
    """Totals, languages, head and tail."""
    from rich.table import Table

    console.print(
        f"{found['num_found']:,} of {found['num_entries']:,} entries are mentioned, {found['num_mentions']:,} times; "
        f"{found['num_matched']:,} of {plural(found['num_texts'], 'text')} mention one ({_percent(found['share'])}).",
        highlight=False,
    )
    if found["num_found"]:
        console.print(
            f"The most frequent 1 % of them have {_percent(found['head_share'])} of the mentions, the rarest 20 % "
            f"{_percent(found['tail_share'])}.",
            highlight=False,
        )
    if found["languages"]:
        table = Table("language", *_right("texts", "with a concept", "share", "concepts"))
        for row in found["languages"][:20]:
            cells = [f"{row['num_texts']:,}", f"{row['num_matched']:,}", _percent(row["share"])]
            table.add_row(shown(row["language"] or "none"), *cells, f"{row['num_concepts']:,}")
        console.print(table)
    for key in ("head", "tail"):
        if found[key]:
            has_names = any(row["most_frequent_name"] != row["name"] for row in found[key])
            names = ["most frequent name", *_right("texts with it")] if has_names else []
            table = Table(key, *_right("texts"), *names)
            for row in found[key]:
                cells = [shown(row["most_frequent_name"]), f"{row['name_count']:,}"] if has_names else []
                table.add_row(shown(row["name"]), f"{row['count']:,}", *cells)
            console.print(table)


def print_pairs(console: Console, found: dict[str, Any]) -> None:
    """How many pairs mention the concept, and examples."""
    from rich.table import Table

    for concept in found["concepts"]:
        others = f", also {', '.join(map(shown, concept['synonyms']))}" if concept["synonyms"] else ""
        console.print(f"{shown(concept['name'])}{others}", highlight=False)
    if not found["concepts"]:
        console.print(f"{shown(found['query'])} is no entry of the list; the texts were searched.", highlight=False)
    images = f" with {plural(found['num_images'], 'image')}" if found["num_images"] is not None else ""
    console.print(f"{plural(found['num_pairs'], 'pair')}{images}", highlight=False)
    languages = [f"{shown(row['language'] or 'none')} {row['num_pairs']:,}" for row in found["languages"]]
    if languages:
        console.print(f"languages: {', '.join(languages)}", highlight=False)
    if found["examples"]:
        table = Table("pair", "language", "text", "image")
        for row in found["examples"]:
            text = row["text"] if len(row["text"]) <= 200 else f"{row['text'][:200]}…"
            table.add_row(row["pair_id"][:8], shown(row["language"] or ""), shown(text), (row["image_id"] or "")[:8])
        console.print(table)


def _right(*headings: str) -> list[Any]:
    from rich.table import Column

    return [Column(heading, justify="right") for heading in headings]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
