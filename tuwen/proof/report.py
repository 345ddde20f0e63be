"""The page of a proof: what was claimed, what came out, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import yaml

from tuwen.proof import plots
from tuwen.releases.page import el, page, web

STYLE = """
:root { --third: #4d8a3a; --fourth: #8a4fb0; --fifth: #a8852a; --sixth: #4a4f5a; }
@media (prefers-color-scheme: dark) {
  :root { --third: #8fce78; --fourth: #c79ae6; --fifth: #e0c266; --sixth: #aab2c0; } }
.interval { stroke: var(--accent); stroke-width: 3; stroke-linecap: round; } .mean { fill: var(--accent); }
.seed { fill: var(--warm); opacity: .75; } .smallest { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 2; }
svg text.label { fill: var(--ink); font-size: 12px; } figure.plot { max-width: 46rem; }
.verdict { font-size: 1.15rem; max-width: 52rem; } .verdict b { text-transform: capitalize; }
pre { background: var(--card); border-radius: .5rem; padding: .8rem 1rem; overflow-x: auto; font-size: .78rem; }
table { width: auto; } td, th { padding-right: 1.2rem; }
td.number, th.number { width: auto; padding-right: 1.2rem; }
.keys { font-size: .875rem; margin: .3rem 0 0; }
"""


def report(found: Mapping[str, Any]) -> bytes:
    """HTML of a summary; it loads nothing and runs no script."""
    claim = found["claim"]
    word = found["verdict"]["word"]
    title = f"{claim['system'] or claim['name']}: {word}"
    return page(
        title,
        el("style", STYLE),
        el("h1", claim["system"] or claim["name"]),
        el("p", web(claim["statement"], 600)),
        el("p", el("b", word), f". {found['verdict']['reason']}.", class_="verdict"),
        _numbers(found),
        el("h2", "Differences"),
        *_differences(found),
        el("h2", "What each arm reached"),
        *_arms(found),
        el("h2", "Losses on the way"),
        *_losses(found),
        el("h2", "The claim as it was registered"),
        el("pre", *_lines(yaml.safe_dump(_said(claim), sort_keys=False, allow_unicode=True, width=110))),
        el("footer", el("p", _made_with(found), class_="soft")),
    )


def _said(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim without what it leaves empty."""
    arms = {
        name: {key: value for key, value in arm.items() if value not in ({}, [], "", 1.0)}
        for name, arm in claim["arms"].items()
    }
    told = {name: value for name, value in claim.items() if value not in ("", None, {}, [])}
    return {**told, "arms": arms}


def _lines(text: str) -> list[Element | str]:
    """Lines one below the other: an element's text has no line ends."""
    return [part for line in text.splitlines() for part in (line, el("br"))]


def _numbers(found: Mapping[str, Any]) -> Element:
    budget = found["claim"]["budget"]
    cells = [
        ("random seeds", str(len(found["claim"]["seeds"]))),
        ("training examples", f"{budget['examples']:,}"),
        ("samples seen", f"{budget['samples']:,}"),
        ("test examples", f"{budget['test']:,}"),
        ("CPU seconds, all arms", f"{sum(arm['cpu_s'] for arm in found['arms']) * len(found['claim']['seeds']):,.0f}"),
    ]
    if found["gate"] is not None:
        cells.append((f"gate, above {found['gate']['above']:g}", f"{found['gate']['reached']:.3f}"))
    return el("dl", *[el("div", el("dt", name), el("dd", value)) for name, value in cells], class_="figures")


def _differences(found: Mapping[str, Any]) -> list[Element]:
    rows, lines = [], []
    smallest = {
        (each["arm"], each["against"], each["evaluation"]): each["smallest_effect"]
        for each in found["claim"]["comparisons"]
    }
    for each in found["comparisons"]:
        matters = smallest[(each["arm"], each["against"], each["evaluation"])]
        label = f"{each['arm']} - {each['against']}"
        rows.append({**each, "label": label, "smallest": matters})
        detectable = "–" if each["detectable"] is None else f"{each['detectable']:.3f}"
        told = "–" if each["low"] is None else f"{each['low']:+.3f} to {each['high']:+.3f}"
        removed = each["ablation"]
        ablation = (
            "–" if removed is None else f"{removed['mean']:+.3f} ({_end(removed['low'])} to {_end(removed['high'])})"
        )
        values = [f"{each['mean']:+.3f}", told, f"{matters:g}", detectable, ablation]
        cells = [el("td", value, class_="number") for value in values]
        lines.append(el("tr", el("td", label), el("td", each["evaluation"]), *cells, el("td", each["word"])))
    heads = ["comparison", "evaluation", "mean", "interval", "matters", "detectable", "over its ablation", "verdict"]
    numeric = {"mean", "interval", "matters", "detectable", "over its ablation"}
    head = el("tr", *[el("th", name, class_="number" if name in numeric else "text") for name in heads])
    coverage = found["comparisons"][0]["coverage"]
    return [
        el("figure", plots.intervals(rows), class_="plot"),
        el(
            "p",
            f"Orange: each random seed. Blue: their mean and its {coverage:.1%} interval, so wide that all comparisons "
            "together are wrong in one case of twenty. Dashed: the smallest effect that matters, fixed before the run.",
            class_="soft",
        ),
        el("table", head, *lines, style="table-layout: auto"),
    ]


def _arms(found: Mapping[str, Any]) -> list[Element]:
    content = []
    for evaluation in found["claim"]["evaluations"]:
        values = {arm["name"]: arm["figures"][evaluation] for arm in found["arms"]}
        content += [el("h3", evaluation), el("figure", plots.figures(values), class_="plot")]
    heads = ["arm", *found["claim"]["evaluations"], "samples", "CPU s"]
    head = el("tr", *[el("th", name, class_="text" if name == "arm" else "number") for name in heads])
    rows = []
    for arm in found["arms"]:
        means = [_mean(arm["figures"][evaluation]) for evaluation in found["claim"]["evaluations"]]
        cells = [*means, f"{arm['samples']:,}", f"{arm['cpu_s']:.1f}"]
        name = arm["name"] + (f" ({arm['matched']})" if arm["matched"] else "")
        rows.append(el("tr", el("td", name), *[el("td", cell, class_="number") for cell in cells]))
    return [*content, el("table", head, *rows, style="table-layout: auto")]


def _losses(found: Mapping[str, Any]) -> list[Element]:
    lines = {}
    for arm in found["arms"]:
        curve = arm["curves"][0]
        points = [(each["step"], sum(value for name, value in each.items() if name != "step")) for each in curve]
        if points:
            lines[arm["name"]] = points
    if not lines:
        return [el("p", "No losses were kept.", class_="soft")]
    keys = el("p", *[plots.key(place, name) for place, name in enumerate(lines)], class_="keys")
    note = el(
        "p", "Sum of the losses of the first seed. Arms with different losses are not to be compared.", class_="soft"
    )
    return [el("figure", plots.curves(lines), class_="plot"), keys, note]


def _mean(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.3f} ± {sd:.3f}"


def _end(value: float | None) -> str:
    return "…" if value is None else f"{value:+.3f}"


def _made_with(found: Mapping[str, Any]) -> str:
    return "Made with " + ", ".join(f"{name} {value}" for name, value in found["versions"].items()) + "."
