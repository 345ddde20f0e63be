"""`tuwen calibrate DIR`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tuwen.cli import plural, positive, print_json, shown

if TYPE_CHECKING:
    from rich.console import Console

SAID = {
    "trusted": "The judge tells every planted defect from the originals.",
    "partly": "The judge sees wrong texts, but not every defect.",
    "untrusted": "The judge cannot be trusted to tell good pairs from bad ones.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument(
        "--recipe", metavar="FILE", help="recipe with the stage pair.judge (default: that of the last build)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change that recipe; may be repeated"
    )
    parser.add_argument("--selection", metavar="NAME", help="only pairs that this selection keeps (default: all)")
    parser.add_argument(
        "--rows", metavar="N", type=positive, default=200, help="pairs to ask about, at most 2,000 (default: 200)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another one draws other pairs (default: 0)")
    parser.add_argument("--estimate", action="store_true", help="ask nothing; print what rating everything would cost")
    parser.add_argument("--price-in", metavar="X", type=_price, help="money per million tokens of questions")
    parser.add_argument("--price-out", metavar="X", type=_price, help="money per million tokens of replies")
    parser.add_argument("--allow-code", action="store_true", help="let the recipe name parts as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ask about a sample with planted defects and print what the judge makes of it, or print the estimate."""
    from rich.console import Console

    from tuwen.engine.calibrate import Prices, calibrate, estimate
    from tuwen.engine.recipe import Recipe
    from tuwen.errors import UsageError

    recipe = None
    if arguments.recipe is not None:
        recipe = Recipe.load(arguments.recipe, arguments.set, allow_code=arguments.allow_code)
    elif arguments.set:
        raise UsageError("--set changes the recipe that --recipe names; name it")
    options: dict[str, Any] = {
        "prices": Prices(arguments.price_in, arguments.price_out),
        "allow_code": arguments.allow_code,
    }
    where = (arguments.corpus, recipe, arguments.selection)
    if arguments.estimate:
        found = estimate(*where, **options)
    else:
        with Console(stderr=True).status("asking the judge") as status:
            found = calibrate(
                *where,
                rows=arguments.rows,
                seed=arguments.seed,
                progress=lambda done, total: status.update(f"asked about {done:,} of {plural(total, 'pair')}"),
                **options,
            )
    if arguments.json:
        print_json(found)
    else:
        print_found(Console(), found)
    return 0


def print_found(console: Console, found: dict[str, Any]) -> None:
    """Verdict, defects, scores, cost."""
    from rich.table import Column, Table

    def right(*headings: str) -> list[Column]:
        return [Column(heading, justify="right") for heading in headings]

    if "verdict" in found:
        asked = plural(found["num_asked"], "question")
        sampled = plural(found["num_sampled"], "pair")
        console.print(f"{SAID[found['verdict']]} {sampled}, {asked}.", highlight=False)
        for reason in found["reasons"]:
            console.print(f"  {shown(reason)}", highlight=False)
        errors = ", ".join(f"{name} {number:,}" for name, number in found["errors"].items())
        if errors:
            console.print(f"without a score: {errors}", highlight=False)
        table = Table("defect", *right("pairs", "AUC", "95 %", "original", "defective", "no score"))
        for each in found["defects"]:
            interval = "–" if each["auc"] is None else f"{each['auc_low']:.2f}–{each['auc_high']:.2f}"
            means = [_number(each["mean_original"], 1), _number(each["mean_defective"], 1)]
            silent = _percent(each["share_without_score"])
            table.add_row(each["defect"], str(each["num_scored"]), _number(each["auc"]), interval, *means, silent)
        console.print(table)
        table = Table(*right("score", "replies", "originals among them", "threshold keeps originals", "and defective"))
        for each in reversed(found["bins"]):
            kept = [_percent(each["originals_kept"]), _percent(each["defects_kept"])]
            score = f"{each['low']:g}–{each['high']:g}"
            table.add_row(score, f"{each['num']:,}", _percent(each["share_originals"]), *kept)
        console.print(table)
    print_cost(console, found["cost"])


def print_cost(console: Console, cost: dict[str, Any]) -> None:
    """What rating everything costs."""
    where = f"{plural(cost['num_pairs'], 'pair')}, {plural(cost['num_questions'], 'different question')}"
    console.print(f"To rate: {where}.", highlight=False)
    how = "as the sample was counted" if cost["tokens"] == "measured" else "guessed"
    console.print(f"tokens ({how}): {cost['tokens_in']:,} in, {cost['tokens_out']:,} out", highlight=False)
    if cost["hours"] is not None:
        each = f"{_duration(cost['seconds_per_question'])} each, one worker process"
        console.print(f"time: {_duration(3600 * cost['hours'])} ({each})", highlight=False)
    else:
        console.print("time: unknown until a sample was asked about", highlight=False)
    if cost["money"] is not None:
        console.print(f"money: {cost['money']:,.2f}", highlight=False)


def _duration(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if seconds >= 2 * size), (1, "s"))
    return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"


def _price(word: str) -> float:
    price = float(word)
    if not 0 <= price < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a price, at least 0, got {word}")
    return price


def _number(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
