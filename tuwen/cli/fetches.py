"""`tuwen fetches DIR [--by EXPRESSION]`"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tuwen.cli import plural, positive, print_json, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "--by",
        metavar="EXPRESSION",
        action="append",
        default=[],
        help="share of pairs whose image was obtained, by a column of pairs, document.COLUMN, host (of the image), "
        "year (of the page) or an expression of these; may be repeated",
    )
    parser.add_argument("--class", dest="outcome", metavar="CLASS", help="print the URLs that ended so, one a line")
    parser.add_argument("--hosts", metavar="N", type=positive, default=10, help="hosts to show (default: 10)")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print classes, worst hosts and domains, findings, and survivorship."""
    from tuwen.engine.fetch_report import fetch_report, urls_of
    from tuwen.fetching.outcomes import OK, check_class

    if arguments.outcome is not None:
        if arguments.outcome != OK:
            check_class(arguments.outcome, "--class")
        urls = urls_of(arguments.corpus, arguments.outcome)
        if arguments.json:
            print_json(list(urls))
        else:
            for url in urls:
                print("".join(c for c in url if c.isprintable()))
        return 0
    found = fetch_report(arguments.corpus, by=arguments.by, num_hosts=arguments.hosts)
    print_json(found) if arguments.json else print_report(found)
    return 0


def print_report(found: dict[str, Any]) -> None:
    """The report as tables, the findings in sentences."""
    from rich.console import Console

    console = Console()
    console.print(f"{plural(found['num_urls'], 'URL')} in {plural(found['num_attempts'], 'attempt')}", highlight=False)
    if found["classes"]:
        console.print(_classes(found["classes"]))
    for key, heading in (("hosts", "host"), ("tlds", "top-level domain")):
        if found[key]:
            console.print(_worst(found[key], heading))
    print_findings(console, found["findings"])
    pending, transient = found["num_pending"], found["num_transient"]
    console.print(
        f"{plural(pending, 'URL')} of pairs never asked for, {plural(transient, 'URL')} to be tried again by a build.",
        highlight=False,
    )
    if bad := found["num_bad_records"]:
        console.print(f"Not among them: {plural(bad, 'row')} of lists without a usable URL.", highlight=False)
    if waiting := found["num_unfinished_files"]:
        console.print(
            f"{plural(waiting, 'file')} of attempts not counted here: a build is running, or was killed and the next "
            "one adds them.",
            highlight=False,
        )
    for survived in found["survivorship"]:
        console.print(_survivorship(survived))


def print_findings(console: Console, findings: Iterable[dict[str, Any]]) -> None:
    """What went wrong, the evidence, and what to change."""
    for finding in findings:
        console.print(f"[bold]{shown(finding['what'])}[/bold] {shown(finding['evidence'])}.", highlight=False)
        console.print(f"  {shown(finding['advice'])}", highlight=False)


def _classes(classes: list[dict[str, Any]]) -> Table:
    table = _table("class", "URLs", "share", "tried again", "meaning")
    families: dict[str, int] = {}
    for row in classes:
        families[row["family"]] = families.get(row["family"], 0) + row["num_urls"]
    total = sum(families.values())
    for family, count in sorted(families.items(), key=lambda item: (item[0] != "ok", -item[1], item[0])):
        table.add_row(f"[bold]{family}[/bold]", f"[bold]{count:,}[/bold]", _percent(count, total))
        for row in classes if family != "ok" else ():
            if row["family"] == family:
                again = "yes" if row["transient"] else ""
                cells = [shown(row["class"]), f"{row['num_urls']:,}", _percent(row["num_urls"], total), again]
                table.add_row(f"  {cells[0]}", *cells[1:], row["meaning"])
    return table


def _worst(rows: Iterable[dict[str, Any]], heading: str) -> Table:
    table = _table(heading, "URLs", "without image", "share", "mostly")
    for row in rows:
        lost = row["num_urls"] - row["num_ok"]
        name = shown(row["name"] or "none")
        table.add_row(name, f"{row['num_urls']:,}", f"{lost:,}", _percent(lost, row["num_urls"]), shown(row["class"]))
    return table


def _survivorship(survived: dict[str, Any]) -> Table:
    table = _table(shown(survived["by"]), "pairs", "with image", "share", "")
    rows = [(shown("none" if row["value"] is None else row["value"]), row) for row in survived["rows"]]
    if other := survived["other"]:
        rows.append((f"{other['num_values']:,} other", other))
    if survived["num_pairs"]:
        share = survived["num_obtained"] / survived["num_pairs"]
        rows.append(("[bold]all[/bold]", {**survived, "share": share}))
    for name, row in rows:
        obtained = f"{row['num_obtained']:,}"
        table.add_row(
            name, f"{row['num_pairs']:,}", obtained, f"{100 * row['share']:.1f} %", "█" * round(20 * row["share"])
        )
    return table


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="left" if heading in ("", "meaning", "mostly", "tried again") else "right")
    return table


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"
