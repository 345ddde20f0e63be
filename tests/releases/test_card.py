"""The words around a release: measured, and harmless whatever the web wrote."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import yaml

from tuwen.releases.card import (
    counted,
    fenced,
    funnel_table,
    hub_languages,
    hub_license,
    inline,
    silence,
    size_category,
    table,
)
from tuwen.releases.release import write_release
from tuwen.selections.ledger import FunnelStep
from tuwen.stages.reservations import OPT_OUTS


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ("", "unknown"),
        ("https://creativecommons.org/licenses/by-sa/4.0/", "cc-by-sa-4.0"),
        ("http://creativecommons.org/licenses/by/3.0/de/", "cc-by-3.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/2.5/", "other"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "gfdl"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        ("All rights reserved", "other"),
        ("/terms-of-use", "other"),
    ],
)
def test_licences_by_the_names_of_the_hub(evidence, expected):
    assert hub_license(evidence) == expected


def test_languages_by_frequency_without_the_noise():
    assert hub_languages([("zh-Hans", 500), ("en", 480), ("zh-Hant", 15), ("", 9), ("la", 2)]) == ["zh", "en"]


@pytest.mark.parametrize(("rows", "name"), [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (5 * 10**8, "100M<n<1B")])
def test_size_categories(rows, name):
    assert size_category(rows) == name


def test_values_of_the_web_cannot_break_a_table():
    hostile = "a|b\n---\n<img src=x onerror=alert(1)> [x](javascript:1) `code`\x00\u202e"
    lines = table(("host", "documents"), [(hostile, 3)]).split("\n")
    assert len(lines) == 3
    assert "<img" not in lines[2].replace("\\<", "") and "\x00" not in lines[2] and "\u202e" not in lines[2]
    assert lines[2].replace("\\|", "").count("|") == 3
    assert len(inline("x" * 1000)) == 120


@pytest.mark.parametrize(("count", "words"), [(0, "0 hosts"), (1, "1 host"), (1326, "1,326 hosts")])
def test_singular_and_plural(count, words):
    assert counted(count, "host") == words


def test_a_fence_is_longer_than_any_inside():
    assert fenced("a ``` b ```` c", "yaml").startswith("`````yaml\n")


def test_the_front_matter_is_measured(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet")
    card = (tmp_path / "out/README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == ["cc-by-sa-4.0", "other", "unknown"]
    assert sorted(front["language"]) == ["en", "zh"]
    assert front["size_categories"] == ["n<1K"] and front["configs"][0]["data_files"] == "data/*.parquet"
    for step in world.ledgers["pair"].funnel():
        assert f"| {step.step} | {inline(step.name)} | {step.judged} | {step.lost} | {step.left} |" in card


def test_the_card_says_for_what_nothing_is_known_of_objections(world, tmp_path):
    manifest = write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet")
    documents = pq.read_table(tmp_path / "out/data")["document_id"].to_pylist()
    rights = world.corpus.table("documents", ["document_id", "rights"]).to_pylist()
    silent = sum(
        row["document_id"] in documents and not any(r["kind"] in OPT_OUTS for r in row["rights"] or [])
        for row in rights
    )
    assert silent
    for name in ("README.md", "datasheet.md"):
        text = (tmp_path / "out" / name).read_text()
        assert f"no evidence for {silent} of {manifest.counts['documents']} documents" in text
        assert "That is not consent" in text


def test_silence():
    assert silence(SimpleNamespace(silent_documents=0, num_documents=3, silent_images=0, num_images=2)) == ""
    told = silence(SimpleNamespace(silent_documents=0, num_documents=3, silent_images=1, num_images=2))
    assert "for 1 of 2 images, either" in told


def test_the_datasheet_says_what_is_not_known(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "parquet")
    sheet = (tmp_path / "out/datasheet.md").read_text()
    assert sheet.count("Not known to tuwen.") >= 4
    assert "| meta\\_robots=noai | 3 |" in sheet
    assert "between 2026-01-31 and 2026-01-31 (UTC)" in sheet


def test_a_step_that_draws_tells_what_it_should_have_left():
    drawn, ruled = FunnelStep(1, "balance", 100, 40, 60, expected=58), FunnelStep(2, "wide", 60, 10, 50)
    assert funnel_table([drawn, ruled]).splitlines()[0].endswith("| expected |")
    assert funnel_table([drawn, ruled]).splitlines()[2:] == [
        "| 1 | balance | 100 | 40 | 60 | 58 |",
        "| 2 | wide | 60 | 10 | 50 | – |",
    ]
    assert "expected" not in funnel_table([ruled])
