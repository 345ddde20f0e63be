"""`tuwen build RECIPE --corpus DIR`"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from tuwen.cli import plural, positive, print_json, shown

if TYPE_CHECKING:
    from rich.console import Console

    from tuwen.engine.build import Built, Plan
    from tuwen.engine.fetch import Fetched


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("recipe", help="YAML file with sources, stages and selections")
    parser.add_argument("--corpus", required=True, metavar="DIR", help="corpus folder; made if it is not there")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change the recipe; may be repeated"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done, why, and about how many bytes"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="worker processes (default: one per core)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where stages run (default: local)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="of a Ray cluster that sees the corpus under the same path; or auto"
    )
    parser.add_argument("--memory", metavar="SIZE", help="of all processes on a machine together, e.g. 8GB")
    parser.add_argument("--disk", metavar="SIZE", help="stop, keeping what is finished, when the corpus is larger")
    parser.add_argument("--offline", action="store_true", help="do not fetch images, whatever the recipe says")
    parser.add_argument(
        "--retry", action="append", default=[], metavar="CLASS", help="fetch again what ended so; may be repeated"
    )
    parser.add_argument("--refit", action="store_true", help="fit the fitted stages anew")
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name parts as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Build, or print the plan."""
    from tuwen.engine.build import build, plan
    from tuwen.engine.limits import Limits, parse_size
    from tuwen.engine.recipe import Recipe

    recipe = Recipe.load(arguments.recipe, arguments.set, allow_code=arguments.allow_code).retrying(arguments.retry)
    if arguments.dry_run:
        planned = plan(recipe, arguments.corpus, allow_code=arguments.allow_code, offline=arguments.offline)
        print_json(asdict(planned)) if arguments.json else print_plan(planned)
        return 0
    built = build(
        recipe,
        arguments.corpus,
        workers=arguments.workers or os.cpu_count() or 1,
        refit=arguments.refit,
        quiet=arguments.json,
        allow_code=arguments.allow_code,
        offline=arguments.offline,
        engine=arguments.engine,
        address=arguments.address,
        limits=Limits(*(parse_size(size) if size else None for size in (arguments.memory, arguments.disk))),
    )
    print_json(asdict(built)) if arguments.json else print_built(built, arguments.corpus)
    return 1 if built.hopeless else 0


def print_plan(planned: Plan) -> None:
    """The plan as tables."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    console = Console()
    if planned.nothing_to_do:
        console.print("Up to date: nothing to do.")
        return
    if planned.units:
        table = Table("source", "unit to read", "bytes", title="New units")
        for unit in planned.units:
            table.add_row(shown(unit.source), shown(unit.location), decimal(unit.num_bytes))
        console.print(table)
        console.print(f"Every stage runs on the rows they bring: {', '.join(planned.stages)}.")
        total = sum(unit.num_bytes for unit in planned.units)
        console.print(f"Disk: about {decimal(3 * total)} (rows and images, and as much while they are read).")
    if planned.num_urls:
        console.print(f"{plural(planned.num_urls, 'image')} to fetch, besides those that new units refer to.")
    if planned.steps:
        table = Table("stage", "table", "fragments", "rows", "about", "why", title="Stages to run on rows at hand")
        for step in planned.steps:
            why = shown("; ".join(step.reasons))
            table.add_row(
                step.stage, step.table, str(step.num_fragments), str(step.num_rows), decimal(step.num_bytes), why
            )
        console.print(table)


def print_built(built: Built, corpus: str) -> None:
    """What a build did, in a few lines."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if built.undone_unit:
        console.print(f"An earlier run was cut off while it added {shown(built.undone_unit)}; that unit was read anew.")
    if built.did_nothing:
        console.print(f"Up to date: nothing to do. {shown(corpus)} is at version {built.version}.")
        return
    if built.ingested.num_units:
        rows = ", ".join(f"{count} {table}" for table, count in built.ingested.rows.items())
        console.print(f"Read {plural(built.ingested.num_units, 'unit')}: {rows}.", soft_wrap=True)
    if built.ingested.num_bad_records:
        bad = plural(built.ingested.num_bad_records, "record")
        console.print(f"[yellow]{bad} could not be used[/yellow]: tuwen status {shown(corpus)}", soft_wrap=True)
    if built.fetched is not None:
        _print_fetched(console, built.fetched, corpus)
    for stage in built.hopeless:
        console.print(f"[red]{stage} failed on every row[/red]; the log says why. Mend it, or take it out.")
    for location, problem in built.ingested.damaged:
        console.print(f"[yellow]{shown(location)}[/yellow] {shown(problem)}")
    for stage, count in sorted(built.added_rows.items()):
        console.print(f"{stage} added {plural(count, 'pair')}.")
    if built.stage_rows:
        table = Table("stage", "rows computed", *(["rows it failed on"] if built.errors else []))
        for stage, count in sorted(built.stage_rows.items()):
            failed = ", ".join(f"{number} {kind}" for kind, number in built.errors.get(stage, {}).items())
            table.add_row(stage, str(count), *([failed] if built.errors else []))
        console.print(table)
    console.print(f"{shown(corpus)} is at version {built.version} after {built.wall_s:.1f} s. Log:", soft_wrap=True)
    console.print(f"  {shown(built.log)}", soft_wrap=True)


def _print_fetched(console: Console, fetched: Fetched, corpus: str) -> None:
    from tuwen.cli.fetches import print_findings
    from tuwen.corpus.corpus import Corpus
    from tuwen.engine.fetch_report import findings
    from tuwen.fetching.outcomes import OK, shares

    if fetched.num_recovered:
        console.print(f"Kept {plural(fetched.num_recovered, 'attempt')} of a run that was cut off.")
    if fetched.num_attempts:
        console.print(
            f"Fetched {plural(fetched.num_attempts, 'URL')}, {plural(fetched.num_images, 'new image')}: "
            f"{', '.join(shares(fetched.outcomes))}."
        )
    if fetched.num_pending:
        console.print(f"[yellow]{plural(fetched.num_pending, 'URL')} not asked yet[/yellow]: the next build goes on.")
    for note in fetched.notes:
        console.print(shown(note))
    if set(fetched.outcomes) - {OK}:
        print_findings(console, (asdict(finding) for finding in findings(Corpus.open(corpus))))
        console.print(f"By class, host and domain: tuwen fetches {shown(corpus)}", soft_wrap=True)
