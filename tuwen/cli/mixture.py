"""`tuwen mixture DIR [--by EXPRESSION] [--selection NAME]`"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuwen.cli import positive, print_json, shown

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
MOST_ACROSS = 6  # more columns do not fit a terminal
SHARED = {
    "documents": "documents",
    "images": "images",
    "image_clusters": "images, near-duplicates as one",
    "texts": "texts",
    "text_clusters": "texts, near-duplicates as one",
    "concepts": "concepts",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "--by",
        metavar="EXPRESSION",
        default="source",
        help="what to compare: a column of pairs, document.COLUMN, host (of the image), year (of the page) or an "
        "expression of these (default: source)",
    )
    parser.add_argument("--selection", metavar="NAME", help="also show what a selection keeps of each")
    parser.add_argument(
        "--values", metavar="N", type=positive, default=20, help="how many to tell apart, the largest (default: 20)"
    )
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name steps as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print sizes, kinds, quality and what the sources share."""
    from tuwen.engine.mixture import mixture

    found = mixture(
        arguments.corpus,
        arguments.by,
        arguments.selection,
        arguments.values,
        allow_code=arguments.allow_code,
    )
    print_json(found) if arguments.json else print_mixture(found)
    return 0


def print_mixture(found: Mapping[str, Any]) -> None:
    """The report as tables."""
    from rich.console import Console

    console = Console()
    rows = [(place, row) for place, row in enumerate(found["rows"]) if _is_there(row)]
    names = [_name(row) for _, row in rows]
    console.print(_sizes(found["by"], [row for _, row in rows]))
    console.print(_kinds(found["by"], [row for _, row in rows]))
    if found["selection"]:
        console.print(_selected(found["by"], found["selection"], [row for _, row in rows]))
    console.print(_medians(found["by"], [row for _, row in rows]))
    for kind, title in SHARED.items():
        matrix = found["shared"].get(kind)
        if matrix and len(rows) > 1:
            places = [place for place, _ in rows]
            only = [row["unique"][kind] for _, row in rows]
            console.print(_shared(title, names, only, [[matrix[a][b] for b in places] for a in places]))


def _is_there(row: Row) -> bool:
    return bool(row["num_pairs"] or row["num_images"] or row["num_documents"])


def _name(row: Row) -> str:
    if row["value"] is not None:
        return shown(row["value"] or "(empty)")
    return "none" if row["num_values"] == 0 else f"{row['num_values']:,} other"


def _sizes(by: str, rows: Sequence[Row]) -> Table:
    names = ("documents", "images", "bytes", "pairs", "texts", "concepts")
    table = _table(by, *names)
    for row in rows:
        table.add_row(_name(row), *(_number(row[f"num_{name}"]) for name in names))
    return table


def _kinds(by: str, rows: Sequence[Row]) -> Table:
    table = _table(by)
    table.add_column("languages of texts")
    table.add_column("kinds of text")
    for row in rows:
        table.add_row(
            _name(row), *(_shares(row[name], row["num_pairs"] or 1) for name in ("languages", "text_sources"))
        )
    return table


def _shares(counts: Sequence[Sequence[Any]], total: int) -> str:
    return ", ".join(
        f"{shown(value or 'not known')} {100 * count / total:.0f} %" for value, count in counts[:3] if count
    )


def _selected(by: str, selection: str, rows: Sequence[Row]) -> Table:
    kept_pairs = sum(row["kept"]["num_pairs"] for row in rows)
    num_pairs = sum(row["num_pairs"] for row in rows)
    table = _table(by, "pairs", "kept", "share kept", "of all before", "of all after", "images kept")
    table.title, table.title_justify = f"kept by {shown(selection)}", "left"
    for row in rows:
        kept = row["kept"]["num_pairs"]
        table.add_row(
            _name(row), _number(row["num_pairs"]), _number(kept), _percent(kept, row["num_pairs"]),
            _percent(row["num_pairs"], num_pairs), _percent(kept, kept_pairs), _number(row["kept"]["num_images"]),
        )  # fmt: skip
    return table


def _medians(by: str, rows: Sequence[Row]) -> Table:
    """Columns down, sources across: there are more columns than fit."""
    across = rows[:MOST_ACROSS]
    table = _table("median", *(_name(row) for row in across))
    for name in rows[0]["medians"] if rows else ():
        table.add_row(shown(name), *(_number(row["medians"][name]) for row in across))
    for name in ("near_duplicate_images", "near_duplicate_pairs"):
        if rows and rows[0][name] is not None:
            table.add_row(name.replace("_", "-", 1).replace("_", " "), *(_number(row[name]) for row in across))
    more = f", the first {MOST_ACROSS}" if len(rows) > MOST_ACROSS else ""
    table.title, table.title_justify = f"quality by {shown(by)}{more}", "left"
    return table


def _shared(title: str, names: Sequence[str], only: Sequence[int], matrix: Sequence[Sequence[int]]) -> Table | str:
    """Of what the source of a line holds, the share that each other holds too; of many, those that share most."""
    if not any(count for place, line in enumerate(matrix) for other, count in enumerate(line) if other != place):
        return f"{title}: each is in one only"
    is_matrix = len(names) <= MOST_ACROSS
    table = _table("", "all", "found only here", *(names if is_matrix else ["most shared with"]))
    table.title, table.title_justify = f"{title}: share also found in", "left"
    for place, (name, line) in enumerate(zip(names, matrix, strict=True)):
        shares = ["" if other == place else _percent(count, line[place]) for other, count in enumerate(line)]
        others = sorted((-count, other) for other, count in enumerate(line) if other != place and count)[:3]
        most = [", ".join(f"{names[other]} {shares[other]}" for _, other in others)]
        table.add_row(name, _number(line[place]), _number(only[place]), *(shares if is_matrix else most))
    return table


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column(shown(first))
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
