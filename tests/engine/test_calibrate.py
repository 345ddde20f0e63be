"""Calibration: judges that look and judges that do not, on a corpus whose every text is known to be right."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vlm
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tuwen
from tuwen.cli import main
from tuwen.corpus.corpus import Corpus
from tuwen.engine.calibrate import Prices, auc_with_interval, calibrate, estimate
from tuwen.engine.defects import DEFECTS, plant, shuffled, truncated
from tuwen.engine.recipe import Recipe
from tuwen.errors import UsageError

NUM_IMAGES = 60
ENGLISH = "A photograph of tile number {} that hangs beside a window in the old museum of our city"
CHINESE = "这是挂在我们城市旧博物馆窗户旁边的第{}号瓷砖的照片,拍摄于去年冬天"
SCORE = "judge: rate\n{text}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hosts with 30 images each; the width says an image's number, which its two texts name."""
    folder = tmp_path_factory.mktemp("calibrate")
    sources = []
    for host in range(2):
        place = folder / f"host{host}"
        place.mkdir()
        figures = ""
        for number in range(host, NUM_IMAGES, 2):
            Image.new("RGB", (100 + number, 64), (number, 200, 100)).save(place / f"{number}.png")
            figures += (
                f"<figure><img src='{number}.png' alt='{ENGLISH.format(number)}'>"
                f"<figcaption>{CHINESE.format(number)}</figcaption></figure>"
            )
        (place / "page.html").write_text(f"<html><body><main>{figures}</main></body></html>", encoding="utf-8")
        sources.append({"html": {"folder": str(place), "base_url": f"http://host{host}.test/"}, "as": f"host{host}"})
    selections = {"english": {"unit": "pair", "steps": [{"rule": "text_source = 'alt'"}]}}
    recipe = {
        "sources": sources,
        "stages": ["pair.resolve", "document.properties", "document.language", "text.language"],
        "selections": selections,
    }
    tuwen.build(Recipe.from_mapping(recipe), folder / "corpus", workers=1)
    return folder / "corpus"


def judged_by(server: vlm.ChatServer, **parameters: Any) -> Recipe:
    given = {"model": server.name, "endpoint": {"base_url": server.url}, "prompt": SCORE, "sources": ["alt", "caption"]}
    return Recipe.from_mapping({"stages": ["pair.resolve", {"pair.judge": {**given, **parameters}}]})


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[vlm.Asked], Any]], vlm.ChatServer]]:
    started: list[vlm.ChatServer] = []

    def start(rule: Callable[[vlm.Asked], Any]) -> vlm.ChatServer:
        started.append(vlm.ChatServer(rule).__enter__())
        return started[-1]

    yield start
    for each in started:
        each.__exit__()


def looks(asked: vlm.Asked, ignores_order: bool = False) -> str:
    """Knows how the texts go, and whether they name the number of this image."""
    text = asked.text.removeprefix("judge: rate\n")
    number = asked.image.width - 100
    truth = [template.format(number) for template in (ENGLISH, CHINESE)]
    if ignores_order:
        is_right = any(sorted(text) == sorted(each) for each in truth)
    else:
        is_right = text in truth
    return f"Score: {(70 if is_right else 20) + chance(text) % 30}/100"


def chance(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def test_a_judge_that_looks_is_trusted(corpus: Path, server: Any) -> None:
    served = server(looks)
    found = calibrate(corpus, judged_by(served), rows=60, prices=Prices(2.0, 10.0))
    assert [each["defect"] for each in found["defects"]] == list(DEFECTS)
    for each in found["defects"]:
        assert each["num_pairs"] == each["num_scored"] == 60
        assert each["auc"] == each["auc_low"] == 1.0 and each["is_seen"]
        assert each["mean_original"] > 70 > 50 > each["mean_defective"]
    assert (found["verdict"], found["reasons"], found["errors"]) == ("trusted", [], {})
    top = found["bins"][7]
    assert top["share_originals"] == top["originals_kept"] == 1.0 and top["defects_kept"] == 0.0
    assert sum(each["num"] for each in found["bins"]) == 60 * 6
    cost = found["cost"]
    assert (cost["num_pairs"], cost["num_questions"], cost["tokens"]) == (120, 120, "measured")
    assert (cost["tokens_in"], cost["tokens_out"]) == (300 * 120, 5 * 120)
    assert cost["money"] == pytest.approx((36_000 * 2 + 600 * 10) / 1e6)
    assert 0 < cost["hours"] < 1
    asked = len(served.asked)
    assert calibrate(corpus, judged_by(served), rows=60, prices=Prices(2.0, 10.0)) == found
    assert len(served.asked) == asked  # nothing is paid twice


def test_a_judge_that_answers_at_random_is_not(
    corpus: Path, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = server(lambda asked: f"score: {chance(asked.text + str(asked.image.width)) % 101}")
    found = calibrate(corpus, judged_by(served), rows=60)
    assert found["verdict"] == "untrusted"
    assert all(0.35 < each["auc"] < 0.65 for each in found["defects"])
    assert any(reason.startswith("wrong_text: not told from the originals, AUC 0.") for reason in found["reasons"])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(dict(judged_by(served).mapping)))
    assert main(["calibrate", str(corpus), "--recipe", str(recipe), "--rows", "60"]) == 0
    assert "cannot be trusted" in capsys.readouterr().out


def test_a_judge_that_is_blind_to_one_defect(corpus: Path, server: Any) -> None:
    found = calibrate(corpus, judged_by(server(lambda asked: looks(asked, ignores_order=True))), rows=40)
    assert {each["defect"] for each in found["defects"] if not each["is_seen"]} == {"shuffled"}
    assert found["verdict"] == "partly" and len(found["reasons"]) == 1


def test_a_judge_without_scores(corpus: Path, server: Any) -> None:
    served = server(lambda asked: "lovely" if asked.image.width % 2 else looks(asked))
    found = calibrate(corpus, judged_by(served), rows=25)
    assert found["verdict"] == "untrusted" and "of the questions gave no score" in found["reasons"][0]
    assert list(found["errors"]) == ["unparsable"]
    assert found["share_without_score"] == pytest.approx(found["errors"]["unparsable"] / 150)


def test_too_few_pairs_say_nothing(corpus: Path, server: Any) -> None:
    found = calibrate(corpus, judged_by(server(looks)), rows=5)
    assert found["verdict"] == "untrusted" and "only 5 pairs could be compared" in found["reasons"][0]
    assert found["defects"][0]["auc"] is None


def test_an_estimate_asks_nothing(corpus: Path, server: Any) -> None:
    served = server(looks)
    found = estimate(corpus, judged_by(served, max_tokens=10, side=84), prices=Prices(1.0))
    texts = [ENGLISH.format(number) for number in range(NUM_IMAGES)]
    texts += [CHINESE.format(number) for number in range(NUM_IMAGES)]
    prompts = sum(len(SCORE.replace("{text}", text).encode()) + len("{text}") for text in texts)
    cost = found["cost"]
    assert served.asked == [] and found.keys() == {"judge", "selection", "cost"}
    assert (cost["num_questions"], cost["tokens"], cost["hours"]) == (120, "guessed", None)
    assert cost["tokens_in"] == pytest.approx(12 * 120 + prompts / 4, abs=1) and cost["tokens_out"] == 1200
    assert cost["money"] == pytest.approx(cost["tokens_in"] / 1e6, rel=1e-3)
    selected = estimate(corpus, judged_by(served), "english")["cost"]
    assert selected["num_pairs"] == 60
    assert estimate(corpus, judged_by(served, share=0.5))["cost"]["num_pairs"] in range(40, 80)


def test_what_is_planted(corpus: Path, server: Any) -> None:
    (stage,) = (each for each in judged_by(server(looks)).stages if hasattr(each, "scale"))
    opened = Corpus.open(corpus)
    planted = plant(opened, stage, None, 30, 0)  # type: ignore[arg-type]
    assert planted == plant(opened, stage, None, 30, 0)  # type: ignore[arg-type]
    assert planted != plant(opened, stage, None, 30, 1)  # type: ignore[arg-type]
    assert planted[:10] == plant(opened, stage, None, 10, 0)  # type: ignore[arg-type]
    for group in planted:
        assert [each.defect for each in group] == [None, *DEFECTS]
        texts = {each.defect: each.text for each in group}
        is_english = texts[None].startswith("A photograph")
        own, other = (int(re.findall(r"\d+", texts[name])[0]) for name in (None, "wrong_text"))
        assert own != other and own % 2 == other % 2  # the even numbers are one host's
        assert texts["other_language"].startswith("A photograph") != is_english
        assert sorted(texts["shuffled"].replace(" ", "")) == sorted(texts[None].replace(" ", ""))
        assert texts[None].startswith(texts["truncated"]) and len(texts["truncated"]) < 0.7 * len(texts[None])
        assert texts["boilerplate"].isascii() <= is_english
    english = plant(opened, stage, "english", 30, 0)  # type: ignore[arg-type]
    assert all(group[0].text.startswith("A photograph") for group in english)
    assert not any(each.defect == "other_language" for group in english for each in group)


@given(st.text(), st.integers(0, 100))
@settings(max_examples=50)
def test_defects_of_any_text(text: str, seed: int) -> None:
    again = [(shuffled(text, random.Random(seed)), truncated(text, random.Random(seed))) for _ in range(2)]
    assert again[0] == again[1]
    for found in again[0]:
        assert found is None or (found and found != text)


def test_auc_equals_counting() -> None:
    chosen = np.random.default_rng(0)
    better, worse = chosen.integers(0, 10, 40) + 2.0, chosen.integers(0, 10, 40) + 0.0
    auc, low, high = auc_with_interval(better, worse, 0)
    counted = sum((a > b) + 0.5 * (a == b) for a in better for b in worse) / 1600
    assert auc == pytest.approx(counted) and low < auc < high
    assert auc_with_interval(better, better, 0)[0] == pytest.approx(0.5)


def test_requests_that_make_no_sense(corpus: Path, server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"no stage pair\.judge"):
        calibrate(corpus)
    recipe = judged_by(server(looks))
    with pytest.raises(UsageError, match="no selection 'englisch'; did you mean 'english'"):
        estimate(corpus, recipe, "englisch")
    with pytest.raises(UsageError, match="no pair to ask about"):
        calibrate(corpus, judged_by(server(looks), sources=["nothing"]))
    with pytest.raises(UsageError, match="no column 'similarity'"):
        estimate(corpus, judged_by(server(looks), minimum={"similarity": 0.3}))
    with pytest.raises(UsageError, match="--rows"):
        calibrate(corpus, recipe, rows=5_000)
    assert main(["calibrate", str(corpus), "--set", "a=1"]) == 2
    assert "--recipe" in capsys.readouterr().err


def test_every_key_is_documented(corpus: Path, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"## tuwen calibrate\n(.*?)(?=\n## |\Z)", page, re.S)
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(dict(judged_by(server(looks)).mapping)))
    words = ["calibrate", str(corpus), "--recipe", str(recipe), "--price-in", "1", "--json"]
    assert main([*words, "--rows", "20"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == documented
    assert main([*words, "--estimate"]) == 0
    assert set(json.loads(capsys.readouterr().out)) < documented
    assert main([*words[:-1], "--estimate"]) == 0
    printed = capsys.readouterr().out
    assert "120 different questions" in printed and "money" in printed
