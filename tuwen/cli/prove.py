"""`tuwen prove CLAIM…` and `tuwen prove --releases A B… --test T`"""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuwen.cli import plural, positive, print_json, shown
from tuwen.errors import missing_extra

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("claims", metavar="CLAIM", nargs="*", help="claim, a YAML file (see docs/proof.md)")
    parser.add_argument("--to", metavar="FOLDER", default="proof", help="verdicts and pages (default: proof)")
    parser.add_argument(
        "--cache", metavar="FOLDER", help="results of arms and seeds, used again (default: the cache of the user)"
    )
    parser.add_argument("--seeds", metavar="N,N,…", type=_seeds, help="other random seeds than the claim's")
    parser.add_argument(
        "--scale",
        metavar="X",
        type=_scale,
        default=1.0,
        help="so many times the budget, for the claim's first five seeds (default: 1)",
    )
    parser.add_argument(
        "--set", metavar="PATH=VALUE", action="append", default=[], help="change a value of the claims; repeatable"
    )
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="runs side by side (default: one per core; on a GPU, one)"
    )
    parser.add_argument(
        "--device", metavar="NAME", default="cpu", help="cpu, cuda, or auto: cuda where there is one (default: cpu)"
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bf16"),
        default="float32",
        help="of what training computes; weights stay float32 (default: float32)",
    )
    parser.add_argument(
        "--record", action="store_true", help="keep the verdicts in results/ beside the claims, for docs/claims.md"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the claims, print what would run and could be found"
    )
    parser.add_argument("--allow-code", action="store_true", help="let claims name parts as package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    releases = parser.add_argument_group("comparing releases instead")
    releases.add_argument("--releases", metavar="DIR", nargs="+", help="which of these trains the best model?")
    releases.add_argument("--test", metavar="DIR", help="the release that tests them")
    releases.add_argument(
        "--drop-overlap", action="store_true", help="leave images that the test shows out of training; else refused"
    )
    releases.add_argument(
        "--scales", metavar="X,X,…", type=_scales, default=(1, 4, 16), help="factors of the budget (default: 1,4,16)"
    )
    releases.add_argument(
        "--samples", metavar="N", type=positive, default=16_000, help="pairs that a model sees at scale 1"
    )
    releases.add_argument(
        "--examples", metavar="N", type=positive, help="distinct pairs of each (default: what the smallest has)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the claims and print the verdicts; 1 where one is refuted or inconclusive."""
    if find_spec("torch") is None:
        raise missing_extra("proof", "torch")
    from rich.console import Console

    from tuwen.engine.progress import Progress
    from tuwen.errors import UsageError
    from tuwen.proof.claim import Claim
    from tuwen.proof.kinds import within
    from tuwen.proof.record import record_of, write_record

    if (arguments.releases is None) == (not arguments.claims):
        raise UsageError(
            f"give {'either ' if arguments.claims else ''}claims or releases to compare: "
            "tuwen prove claims/smoke.yaml, or tuwen prove --releases A B --test T"
        )
    if not arguments.dry_run:
        _check_folder(arguments.to)
    if arguments.releases is not None:
        return _compare(arguments, Console())
    claims = [Claim.load(path, arguments.set) for path in arguments.claims]
    if arguments.record and (arguments.seeds is not None or arguments.set):
        raise UsageError("--record keeps what was registered; leave --seeds and --set out, or change the claim's file")
    claims = [claim.scaled(arguments.scale) for claim in claims]
    if arguments.seeds is not None:
        named = "-".join(map(str, arguments.seeds))
        claims = [
            claim.model_copy(update={"seeds": arguments.seeds, "name": f"{claim.name}-seeds-{named}"})
            for claim in claims
        ]
    console, found = Console(), []
    for path, claim in zip(arguments.claims, claims, strict=True):  # all, before the first one runs
        with within(path):
            claim.check(allow_code=arguments.allow_code)
    for path, claim in zip(arguments.claims, claims, strict=True):
        if not arguments.json:
            _print_claim(console, claim)
            if arguments.dry_run:
                _print_record(console, record_of(Path(path)))
        if not arguments.dry_run:
            found.append(_proved(arguments, claim, Progress(quiet=arguments.json)))
            if arguments.record:
                write_record(path, found[-1])
            if not arguments.json:
                _print_found(console, found[-1], Path(arguments.to) / claim.name)
    if arguments.json:
        print_json(found if not arguments.dry_run else [claim.model_dump(mode="json") for claim in claims])
    return 0 if all(each["verdict"]["word"] == "supported" for each in found) else 1


def _proved(arguments: argparse.Namespace, claim: Any, progress: Any) -> dict[str, Any]:
    from tuwen.proof.report import report
    from tuwen.proof.run import prove
    from tuwen.proof.summary import summary

    cache = arguments.cache or default_cache()
    total = len(claim.arms) * len(claim.seeds)
    with progress.phase(claim.name, total, "runs") as phase:
        proof = prove(
            claim,
            cache,
            workers=arguments.workers,
            allow_code=arguments.allow_code,
            device=arguments.device,
            precision=arguments.precision,
            on_result=lambda result, done, of: phase.advance(note=f"{result.arm} {result.seed}"),
        )
    found = summary(proof)
    folder = Path(arguments.to) / claim.name
    write_verdict(folder, found, report(found))
    return found


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    """Compare releases; 1 where nothing could be told."""
    from tuwen.engine.progress import Progress
    from tuwen.errors import UsageError
    from tuwen.proof.contest import Contest, compare
    from tuwen.proof.contest_report import contest_report, told_of

    if arguments.test is None:
        raise UsageError("--test names the release that tests: pairs of pages or sites that none of the others holds")
    if arguments.record or arguments.set or arguments.scale != 1:
        raise UsageError("--record, --set and --scale are for claims; releases are compared at --scales")
    told: dict[str, Any] = {"seeds": arguments.seeds} if arguments.seeds else {}
    for name in ("scales", "samples", "examples", "drop_overlap"):
        told[name] = getattr(arguments, name)
    contest = Contest(arguments.releases, arguments.test, **told)
    if not arguments.json:
        for note in contest.notes():
            console.print(shown(note), highlight=False)
    if arguments.dry_run:
        return _print_contest(console, contest, arguments.json)
    total = (len(contest.paths) + 1) * len(contest.seeds) * len(contest.scales)
    with Progress(quiet=arguments.json).phase("releases", total, "runs") as phase:
        answer = compare(
            contest,
            arguments.cache or default_cache(),
            workers=arguments.workers,
            device=arguments.device,
            precision=arguments.precision,
            on_result=lambda result, done, of: phase.advance(note=f"{result.arm} {result.seed}"),
        )
    found = told_of(contest, answer)
    folder = Path(arguments.to) / "releases"
    write_verdict(folder, found, contest_report(contest, answer))
    if arguments.json:
        print_json(found)
    else:
        _print_figures(console, answer)
        for name, each in found["evaluations"].items():
            console.print(f"[bold]{name}[/bold]: {shown(each['answer'])}", highlight=False)
        console.print(f"page: {shown(folder / 'index.html')}", highlight=False)
    return 0 if any(answer.learnt.values()) else 1


def _print_figures(console: Console, answer: Any) -> None:
    from rich.table import Column, Table

    names = list(answer.figures)
    table = Table("release", *[Column(name, justify="right") for name in names])
    for release in answer.figures[names[0]]:
        table.add_row(release, *[_spread(answer.figures[name][release][-1]) for name in names])
    console.print(f"At {answer.scales[-1]:g} times the budget:", highlight=False)
    console.print(table)


def _print_contest(console: Console, contest: Any, as_json: bool) -> int:
    claims = contest.claims()
    if as_json:
        print_json([claim.model_dump(mode="json") for claim in claims])
    for claim in () if as_json else claims:
        budget, seeds = claim.budget, plural(len(claim.seeds), "seed")
        told = f"{budget.examples:,} distinct pairs of each, {budget.samples:,} seen, {seeds}"
        console.print(f"{shown(claim.statement)}\n  {told}; {', '.join(claim.evaluations)}", highlight=False)
    return 0


def write_verdict(folder: Path, found: dict[str, Any], page: bytes) -> None:
    """`verdict.json` and `index.html`."""
    import json

    from tuwen.proof.sealed import write_whole

    write_whole(folder / "index.html", page)
    told = json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    write_whole(folder / "verdict.json", told + "\n")


def _check_folder(to: str) -> None:
    from tuwen.errors import UsageError

    for path in (Path(to), *Path(to).parents):
        if path.exists():
            if not path.is_dir():
                raise UsageError(f"--to {to}: {path} is a file; name a folder")
            return


def default_cache() -> Path:
    """Where results are kept if nobody says where."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuwen" / "proof"


def _print_claim(console: Console, claim: Any) -> None:
    from tuwen.proof.verdict import detectable_effect

    console.print(f"[bold]{shown(claim.name)}[/bold]: {shown(claim.statement)}", highlight=False)
    number = claim.num_intervals
    arms, seeds = plural(len(claim.arms), "arm"), plural(len(claim.seeds), "seed")
    console.print(f"  {arms}, {seeds}, {claim.budget.samples:,} samples each", highlight=False)
    for each in claim.comparisons:
        finds = "what it could find is not known: the claim gives no sd"
        if each.sd is not None and len(claim.seeds) < 2:
            finds = "one seed finds nothing"
        elif each.sd is not None:
            finds = f"finds {detectable_effect(each.sd, len(claim.seeds), number):.3f} and more"
        what = f"{each.arm} over {each.against} in {each.evaluation}"
        console.print(f"  {what}: {each.smallest_effect:g} would matter; {finds}", highlight=False)


def _print_record(console: Console, record: Any) -> None:
    """What is recorded of the claim as it is registered, and whether the code is still the same."""
    if record.found is not None:
        day = "" if record.day == "not known" else f" on {record.day}"
        told = f"  recorded{day}, {record.age}: {record.direction}"
        console.print(shown(told), highlight=False)


def _print_found(console: Console, found: dict[str, Any], folder: Path) -> None:
    from rich.table import Column, Table

    evaluations = list(found["claim"]["evaluations"])
    table = Table("arm", *[Column(name, justify="right") for name in evaluations], Column("CPU s", justify="right"))
    for arm in found["arms"]:
        values = [_spread(arm["figures"][name]) for name in evaluations]
        table.add_row(arm["name"], *values, f"{arm['cpu_s']:.1f}")
    console.print(table)
    for each in found["comparisons"]:
        what = f"{each['arm']} over {each['against']}, {each['evaluation']}"
        console.print(f"  {what}: {each['word']}, {shown(each['reason'])}", highlight=False)
    verdict = found["verdict"]
    console.print(f"[bold]{verdict['word']}[/bold]: {shown(verdict['reason'])}", highlight=False)
    console.print(f"page: {shown(folder / 'index.html')}", highlight=False)


def _spread(values: list[float]) -> str:
    from statistics import mean, stdev

    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _scale(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{word} is no factor of a budget; give a number above 0")
    return value


def _scales(word: str) -> tuple[float, ...]:
    return tuple(_scale(each) for each in word.split(","))


def _seeds(word: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(each) for each in word.split(","))
    except ValueError:
        seeds = (-1,)
    if len(set(seeds)) < len(seeds) or not all(0 <= each < 2**63 for each in seeds):
        raise argparse.ArgumentTypeError(f"seeds are numbers from 0 to 2^63 - 1, each once; got {word}")
    return seeds
