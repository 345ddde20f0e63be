"""The atlas' table."""

from __future__ import annotations

import runpy
from pathlib import Path

from tuwen.proof.contest import UNTRAINED, Answer, Pair

ATLAS = Path(__file__).parents[2] / "examples" / "atlas.py"


def test_one_seed_has_a_figure_and_no_spread() -> None:
    pair = Pair("alt", "random", "all", (0.1,), (float("-inf"),), (float("inf"),))
    figures = {"all": {"alt": [[0.2]], "random": [[0.1]], UNTRAINED: [[0.05]]}}
    answer = Answer((1.0,), ("alt", "random"), figures, [pair], {"all": False}, {"all": 1.0}, {"all": None})
    atlas = runpy.run_path(str(ATLAS))
    lines = atlas["table"](answer, ["Two ways."])
    assert "| alt | 0.200 |" in lines and "- **all**: inconclusive: one random seed has no interval." in lines
    figures["all"]["alt"] = [[0.2, 0.4]]
    assert "| alt | 0.300 ± 0.141 |" in atlas["table"](answer, ["Two ways."])
