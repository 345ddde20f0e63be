"""The page of a contest of releases: who trains the better model, by evaluation and scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from tuwen.proof import plots
from tuwen.proof.contest import SMALLEST_EFFECT, UNTRAINED, Answer, Contest
from tuwen.proof.report import STYLE
from tuwen.releases.page import el, page


def told_of(contest: Contest, answer: Answer) -> dict[str, Any]:
    """The answer as JSON holds it."""
    return {
        "releases": contest.paths,
        "test": contest.test,
        "scales": list(answer.scales),
        "samples": contest.samples,
        "seeds": list(contest.seeds),
        "skipped": contest.skipped(),
        "evaluations": {
            name: {
                "answer": answer.sentence(name),
                "learnt": answer.learnt[name],
                "order": answer.order(name),
                "figures": told,
                "sign_agreement": answer.sign_agreement[name],
                "rank_correlation": answer.rank_correlation[name],
            }
            for name, told in answer.figures.items()
        },
        "pairs": [
            {
                "one": each.one,
                "two": each.two,
                "evaluation": each.evaluation,
                "answer": each.answer,
                "means": list(each.means),
                "lows": [value if np.isfinite(value) else None for value in each.lows],
                "highs": [value if np.isfinite(value) else None for value in each.highs],
            }
            for each in answer.pairs
        ],
    }


def contest_report(contest: Contest, answer: Answer, lead: Sequence[Element] = ()) -> bytes:
    """HTML of an answer; it loads nothing and runs no script. `lead`: what comes before the figures."""
    names = list(answer.figures)
    return page(
        "Which release trains the better model?",
        el("style", STYLE),
        el("h1", "Which release trains the better model?"),
        *lead,
        el("ul", *[el("li", el("b", name), f": {answer.sentence(name)}.") for name in names]),
        el("h2", "Figures"),
        _figures(answer),
        el(
            "p",
            "Mean reciprocal rank of images and texts finding each other; drawing: bits per code of an image that its "
            "true text saves against another of the same site and language. Mean ± standard deviation over "
            f"{len(contest.seeds)} random seeds. All models see {contest.samples:,} pairs, times the scale, drawn from "
            f"equally many distinct ones. {UNTRAINED}: a network that has seen one batch.",
            class_="soft",
        ),
        *[part for name in names for part in _evaluation(answer, name)],
        *_left_out(contest),
        el("footer", el("p", f"Tested on {contest.test}.", class_="soft")),
    )


def _left_out(contest: Contest) -> list[Element]:
    told = contest.left_out()
    return [el("h2", "What could not be read"), el("ul", *[el("li", f"{each}.") for each in told])] if told else []


def _figures(answer: Answer) -> Element:
    heads = [el("th", "release", class_="text")]
    columns = [(name, place) for name in answer.figures for place in range(len(answer.scales))]
    heads += [el("th", f"{name}, {answer.scales[place]:g} ×", class_="number") for name, place in columns]
    rows = []
    for release in (*answer.names, UNTRAINED):
        cells = []
        for name, place in columns:
            values = answer.figures[name][release][place]
            best = release == max(answer.names, key=lambda each: _mean(answer.figures[name][each][place]))
            told = f"{_mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")
            cells.append(el("td", el("b", told) if best else told, class_="number"))
        rows.append(el("tr", el("td", release), *cells))
    return el("table", el("tr", *heads), *rows, style="table-layout: auto")


def _evaluation(answer: Answer, name: str) -> list[Element]:
    rows: list[Mapping[str, Any]] = []
    for each in answer.pairs:
        if each.evaluation != name:
            continue
        for place, scale in enumerate(answer.scales):
            low, high = (value if np.isfinite(value) else None for value in (each.lows[place], each.highs[place]))
            label = f"{each.one} - {each.two}, {scale:g} ×"
            told = {"label": label, "mean": each.means[place], "low": low, "high": high}
            rows.append({**told, "seeds": [], "smallest": SMALLEST_EFFECT})
    note = "Blue: the mean difference and its interval, which holds for all pairs of releases together. Dashed: "
    note += f"{SMALLEST_EFFECT:g}. Above, each release's mean and its seeds at the largest scale."
    if len(answer.scales) > 1:
        note += f" Order the same at all scales: {answer.sign_agreement[name]:.0%} of pairs of releases."
    if (rank := answer.rank_correlation[name]) is not None:
        note += f" Rank correlation of the smallest with the largest scale: {rank:+.2f}."
    largest = {release: answer.figures[name][release][-1] for release in (*answer.order(name), UNTRAINED)}
    return [
        el("h2", name),
        el("p", f"{answer.sentence(name)}."),
        el("figure", plots.figures(largest), class_="plot"),
        el("figure", plots.intervals(rows), class_="plot"),
        el("p", note, class_="soft"),
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
