"""The funnel's pages: figures are the ledger's, bands are as wide as rows are many, and hostile words do nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from tuwen.corpus.corpus import Corpus
from tuwen.explorer.bands import LEAST, WIDTH, strips
from tuwen.explorer.pages.funnel import spread
from tuwen.selections.ledger import FunnelStep, Ledger, RuleCount

HOSTILE = '"><script>alert(1)</script>\u202e <img src=x onerror=alert(2)>'


def rows_of(text: str) -> list[tuple[int, int]]:
    """(refused, left) of the steps of a funnel's table."""
    cells = re.findall(r'<td class="number">(?:<a [^>]*>)?([\d,]+)(?:</a>)?\s*<span', text)
    numbers = [int(each.replace(",", "")) for each in cells]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@pytest.mark.parametrize("name", ["figures", "strong", "weak", "interleaved"])
def test_the_table_says_what_the_ledger_says(name: str, pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/funnel", params={"selection": name}).text
    funnel = Ledger.open_or_judge(demo, name).funnel()
    assert rows_of(text) == [(step.lost, step.left) for step in funnel]
    for step in funnel:
        assert (f"is={name}%3A{step.step}" in text) == bool(step.lost)


def test_without_a_name_all_selections_are_shown(pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/funnel").text
    for name in ("figures", "strong", "weak", "interleaved"):
        assert f'data-part="/funnel/small?selection={name}"' in text
    small = pages.get("/funnel/small", params={"selection": "strong"}).text
    assert f"<b>{Ledger.open_or_judge(demo, 'strong').num_kept:,}</b>" in small


def test_examples_are_rows_that_the_step_refused(pages: TestClient, demo: Corpus) -> None:
    text = pages.get("/funnel/examples", params={"selection": "strong", "step": "5"}).text
    ids = re.findall(r'href="/pair/([0-9a-f]{32})" data-card', text)
    verdicts = Ledger.open_or_judge(demo, "strong").rows(ids)
    assert len(ids) == 6 and {verdicts[each].step for each in ids} == {5}
    assert pages.get("/funnel/examples", params={"selection": "strong", "step": "99"}).status_code == 400


def test_awkward_selections(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    recipe = json.loads((own_corpus / "recipe.json").read_text(encoding="utf-8"))
    recipe["selections"] = {
        "中文": {
            "unit": "pair",
            "description": HOSTILE,
            "steps": [{"rule": {"where": "cjk_share > 0", "name": HOSTILE}}],
        },
        "empty": {"unit": "pair", "steps": [{"rule": "num_words < 0"}, {"best": {"per": "image_id", "by": ["text"]}}]},
        "everything": {"unit": "document"},
        "broken": {"unit": "pair", "steps": [{"rule": "no_such_column >= 3"}]},
    }
    (own_corpus / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    pages = explore(own_corpus)
    for name in ("中文", "empty", "everything"):
        answer = pages.get("/funnel", params={"selection": name})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text and "<img src=x" not in answer.text and "\u202e" not in answer.text
    assert "it keeps everything" in pages.get("/funnel", params={"selection": "everything"}).text
    overview = pages.get("/funnel")
    assert overview.status_code == 200 and "\u202e" not in overview.text
    part = pages.get("/funnel/small", params={"selection": "broken"}, headers={"X-Part": "1"})
    assert part.status_code == 400 and "no_such_column" in part.text and "<html" not in part.text


def test_no_selections(own_corpus: Path, explore: Callable[[Path], TestClient]) -> None:
    (own_corpus / "recipe.json").unlink()
    pages = explore(own_corpus)
    for url in ("/funnel", "/thresholds", "/compare", "/releases"):
        answer = pages.get(url)
        assert answer.status_code == 200 and "no selections yet" in answer.text


def widths(path: str) -> tuple[float, float]:
    """Of a band that moves off: at its start, and at its end."""
    numbers = [float(each) for each in re.findall(r"[\d.]+", path)]
    start, end, end_right, start_right = numbers[0], numbers[6], numbers[8], numbers[13]
    return start_right - start, end_right - end


def test_bands_are_as_wide_as_rows_are_many() -> None:
    steps = [
        FunnelStep(1, "a", 1000, 600, 400, (RuleCount("x", 450), RuleCount("y", 150))),
        FunnelStep(2, "b", 400, 151, 249, (RuleCount("z", 150), RuleCount("one", 1))),
        FunnelStep(3, "c", 249, 249, 0, (RuleCount("u", 249),)),
    ]
    one, two, three = strips(steps, 1000)
    assert one.stays == f"M0 0H{0.4 * WIDTH:.2f}V100H0Z" and three.stays == ""
    for side in (*one.sides, *two.sides, *three.sides):
        expected = max(side.rule.lost / 1000 * WIDTH, LEAST)
        assert widths(side.path) == pytest.approx((expected, expected), abs=0.02)  # along the whole band, in each strip
    starts = [float(re.match(r"M([\d.]+)", side.path)[1]) for side in one.sides]  # type: ignore[index]
    assert starts == pytest.approx([0.55 * WIDTH, 0.4 * WIDTH], abs=0.01)
    assert strips([FunnelStep(1, "a", 0, 0, 0)], 0)[0].share == 0


def test_many_rules_stay_in_the_picture() -> None:
    rules = tuple(RuleCount(str(each), 10) for each in range(100))
    (strip,) = strips([FunnelStep(1, "a", 1000, 1000, 0, rules)], 1000)
    numbers = [float(each) for side in strip.sides for each in re.findall(r"[\d.]+", side.path)]
    assert min(numbers) >= 0 and max(numbers) <= 100


def test_a_band_says_where_its_link_leads(pages: TestClient, demo: Corpus) -> None:
    (step,) = (each for each in Ledger.open_or_judge(demo, "figures").funnel() if each.name == "large enough")
    text = pages.get("/funnel", params={"selection": "figures"}).text
    assert text.count(f"The link leads to all {step.lost:,} that this step refuses.") == 2


def test_a_few_of_many_are_spread() -> None:
    assert spread(np.arange(101), 3).tolist() == [0, 50, 100]
    assert spread(np.arange(2), 3).tolist() == [0, 1]
