"""From a crawl to the answer which way of choosing its pairs trains the better model: run by `make atlas`.

Builds a corpus, trains a scorer on its strong pairs and scores the rest, cuts four releases of equal size and one that
tests, and trains small models on each, several times over. What the test shows, trains nobody: pages that the rule
`--left-out` is true for are left out, and so is every image that looks like one of theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from tuwen.corpus.corpus import Corpus
from tuwen.engine.build import build
from tuwen.engine.progress import Progress
from tuwen.engine.recipe import Recipe
from tuwen.engine.train_scorer import train_scorer
from tuwen.models.contrastive import BATCH
from tuwen.models.scorer_training import default_steps
from tuwen.proof.contest import UNTRAINED, Answer, Contest, compare
from tuwen.proof.contest_report import contest_report, told_of
from tuwen.releases.page import el
from tuwen.releases.release import release
from tuwen.selections.ledger import judge
from tuwen.selections.selection import Selection

HERE = Path(__file__).parent
WAYS = ("random", "alt", "strong", "everything")
IN_TEST = "language in ('en', 'zh')"
SCORER_STEPS = 500  # of each half, at most: a scorer of all 15 passes would take longer than all that it is for
# The crawl that ships with tuwen has no site that is large enough to test: some of its gallery pages do.
LEFT_OUT = "regexp_matches(document.url, 'emoji[.]test/[A-Za-z_]+/2[.]html')"


def main() -> None:
    """The whole way, with a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", metavar="WARC", nargs="+", help="WARC files (default: the demo's)")
    parser.add_argument("--left-out", metavar="RULE", default=LEFT_OUT, help="pairs that test, a DuckDB expression")
    parser.add_argument("--to", metavar="DIR", type=Path, default=Path("atlas"))
    parser.add_argument("--samples", metavar="N", type=int, default=12_000, help="pairs that a model sees at scale 1")
    parser.add_argument("--scales", metavar="X", type=float, nargs="+", default=[1])
    parser.add_argument("--seeds", metavar="N", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    parser.add_argument("--workers", metavar="N", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    started, cpu = time.monotonic(), cpu_seconds()
    notes, num_pairs = released(arguments)
    contest = Contest(
        [str(arguments.to / "releases" / way) for way in WAYS],
        str(arguments.to / "releases" / "test"),
        scales=arguments.scales,
        seeds=arguments.seeds,
        samples=arguments.samples,
        drop_overlap=True,
    )
    total = (len(WAYS) + 1) * len(contest.seeds) * len(contest.scales)
    with Progress().phase("training", total, "runs") as phase:
        answer = compare(
            contest,
            arguments.to / "cache",
            workers=arguments.workers,
            on_result=lambda result, done, of: phase.advance(note=f"{result.arm} {result.seed}"),
        )
    notes.append(f"{cpu_seconds() - cpu:,.0f} CPU seconds, {time.monotonic() - started:,.0f} s in all.")
    lead = [
        f"Four ways to choose pairs of one crawl ({', '.join(WAYS)}), {num_pairs:,} pairs each, tested on pages that "
        f"were left out: {arguments.left_out}.",
        *notes,
    ]
    told = {**told_of(contest, answer), "num_pairs": num_pairs, "left_out": arguments.left_out, "notes": notes}
    (arguments.to / "index.html").write_bytes(contest_report(contest, answer, [el("p", each) for each in lead]))
    text = json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True)
    (arguments.to / "atlas.json").write_text(text + "\n", encoding="utf-8")
    (arguments.to / "atlas.md").write_text("\n".join(table(answer, lead)) + "\n", encoding="utf-8")
    for name in answer.figures:
        print(f"{name}: {answer.sentence(name)}")
    print(*notes, f"page: {arguments.to / 'index.html'}", sep="\n")


def table(answer: Answer, lead: list[str]) -> list[str]:
    """The answer as Markdown: figures of the largest scale, differences with their intervals."""
    names = list(answer.figures)
    lines = ["# Atlas", "", *(line for each in lead for line in (each, ""))]
    lines += [f"| release, {answer.scales[-1]:g} × | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for way in (*answer.names, UNTRAINED):
        told = (answer.figures[name][way][-1] for name in names)
        lines.append(f"| {way} | {' | '.join(map(_spread, told))} |")
    lines += ["", *(f"- **{name}**: {answer.sentence(name)}." for name in names), ""]
    lines += ["| measure | releases | scale | difference | interval |", "|---|---|---|---|---|"]
    for each in answer.pairs:
        for place, scale in enumerate(answer.scales):
            span = f"{each.lows[place]:+.3f} to {each.highs[place]:+.3f}"
            one = f"| {each.evaluation} | {each.one} - {each.two} | {scale:g} |"
            lines.append(f"{one} {each.means[place]:+.3f} | {span} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def released(arguments: argparse.Namespace) -> tuple[list[str], int]:
    """Corpus, scorer and releases below `--to`; notes on what happened, and the pairs of each release."""
    told = yaml.safe_load((HERE / "atlas.yaml").read_text(encoding="utf-8"))
    if arguments.crawl:
        told["sources"] = [{"warc": {"paths": arguments.crawl}}]
    left_out = f"coalesce({arguments.left_out}, false)"
    told["selections"]["test"] = {**told["selections"]["strong"]}
    for name in WAYS:
        told["selections"][name] = split(told["selections"][name], f"not {left_out}", "not left out")
    test = split(told["selections"]["test"], left_out, "left out for the test")
    test["steps"].append({"rule": {"where": IN_TEST, "name": "English or Chinese"}})
    told["selections"]["test"] = test
    everything = told["selections"].pop("everything")

    refuse_another(arguments, told["sources"])
    place = arguments.to / "corpus"
    build(Recipe.from_mapping(told), place, workers=arguments.workers)
    scorer = arguments.to / "scorer"
    if not scorer.exists():
        steps = min(SCORER_STEPS, default_steps(judge(Corpus.open(place), "strong").num_kept // 2, BATCH))
        told_steps: Any = {"folds": 2, "steps": steps, "workers": arguments.workers}
        train_scorer(place, "strong", scorer, **told_steps, progress=Progress())
    verdict = json.loads((scorer / "scorer.json").read_text(encoding="utf-8"))["verdict"]
    notes = [f"Scorer: {verdict['reason']}."]
    if verdict["learned"]:
        told["stages"] += [{"image.scorer": {"model": str(scorer)}}, {"pair.scorer": {"model": str(scorer)}}]
    else:
        everything["steps"] = [each for each in everything["steps"] if "scorer_similarity" not in str(each)]
    told["selections"]["everything"] = everything
    build(Recipe.from_mapping(told), place, workers=arguments.workers)

    corpus = Corpus.open(place)
    kept = {name: judge(corpus, name).num_kept for name in (*WAYS, "test")}
    notes.append("Pairs: " + ", ".join(f"{name} {number:,}" for name, number in kept.items()) + ".")
    num_pairs = min(kept[name] for name in WAYS)
    for name in (*WAYS, "test"):
        steps: list[Any] = [{"within": name}]
        if name != "test":
            steps.append({"sample": {"rows": num_pairs}})
        selection = Selection.from_mapping(f"{name}-released", {"unit": "pair", "steps": steps})
        release(corpus, selection, arguments.to / "releases" / name, overwrite=True)
    return notes, num_pairs


def refuse_another(arguments: argparse.Namespace, sources: list[Any]) -> None:
    """A folder is for one crawl and one rule: rows and scores of others would go on in it."""
    told = {"sources": sources, "left_out": arguments.left_out}
    path = arguments.to / "inputs.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != told:
        raise SystemExit(f"{arguments.to} holds the atlas of another crawl or rule; name a new folder with --to")
    arguments.to.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told), encoding="utf-8")


def split(selection: dict[str, Any], rule: str, name: str) -> dict[str, Any]:
    """The selection on one side of the test."""
    within, *steps = selection["steps"]
    return {**selection, "steps": [within, {"rule": {"where": rule, "name": name}}, *steps]}


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
