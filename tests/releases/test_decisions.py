"""What is published of the refusals, and what is not."""

from __future__ import annotations

import hashlib

import duckdb
import pyarrow.parquet as pq
import pytest

from tuwen.corpus.tables import digest
from tuwen.releases.decisions import is_private
from tuwen.releases.manifest import read_manifest
from tuwen.releases.release import write_release
from tuwen.releases.verify import verify
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import parse_selections


def decisions(folder) -> list[dict]:
    return pq.read_table(folder / "decisions.parquet").to_pylist()


def refused(world) -> list[tuple]:
    return duckdb.sql(f"SELECT id, rule, value FROM '{world.ledgers['pair'].path}' WHERE step IS NOT NULL").fetchall()


def test_counts_of_every_rule_add_up_to_the_ledger(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index")
    counts = [row for row in decisions(tmp_path / "out") if row["kind"] == "count"]
    of_ledger = {row["rule"]: row["num_rows"] for row in counts if not (row["rule"] or "").startswith("release: ")}
    assert sum(of_ledger.values()) == len(world.rows["pairs"])
    for step in world.ledgers["pair"].funnel():
        assert of_ledger.get(step.name, 0) == step.lost
    left_out = read_manifest(tmp_path / "out").counts["left_out"]
    assert {f"release: {reason}": rows for reason, rows in left_out.items()} == {
        row["rule"]: row["num_rows"] for row in counts if (row["rule"] or "").startswith("release: ")
    }


def test_rows_refused_for_rights_appear_in_the_counts_only(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index")
    listed = [row for row in decisions(tmp_path / "out") if row["kind"] == "decision"]
    assert {row["rule"] for row in listed} == {"length(text) > 0"}
    assert any(rule == "not opt_out_noai" for _, rule, _ in refused(world))
    ids = {identity for identity, _, _ in refused(world)}
    assert not ids & {row["id"] for row in listed}


def test_whoever_has_an_id_can_look_up_its_fate(world, tmp_path):
    write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index")
    salt = read_manifest(tmp_path / "out").decisions["salt"]
    listed = {
        row["id"]: (row["rule"], row["value"]) for row in decisions(tmp_path / "out") if row["kind"] == "decision"
    }
    for identity, rule, value in refused(world):
        if not is_private(rule):
            assert listed.pop(hashlib.sha256(f"{salt}{identity}".encode()).hexdigest()[:32]) == (rule, value)
    assert not listed


def test_a_full_ledger_holds_every_decision(world, tmp_path):
    manifest = write_release(world.corpus, world.ledgers["pair"], tmp_path / "out", "index", full_ledger=True)
    listed = {row["id"] for row in decisions(tmp_path / "out") if row["kind"] == "decision"}
    assert listed == {row["pair_id"] for row in world.rows["pairs"]}
    assert manifest.decisions["full_ledger"] and manifest.decisions["salt"] is None


def test_the_salt_depends_on_the_selection(world, tmp_path):
    one = write_release(world.corpus, world.ledgers["pair"], tmp_path / "a", "index")
    two = write_release(world.corpus, world.ledgers["image"], tmp_path / "b", "index")
    assert one.decisions["salt"] != two.decisions["salt"] and len(one.decisions["salt"]) == len(digest("x"))


def test_values_that_quote_the_row_are_not_published(make_world, tmp_path):
    """With the selections of the package itself, whose values are JSON of what the rule read."""
    world = make_world(tmp_path)
    steps = [{"rule": {"where": "length(text) > 30"}}, {"rule": {"where": "language_confidence > 0.3"}}]
    mapping = {"long": {"unit": "pair", "steps": steps}}
    selections = parse_selections(mapping)
    ledger = Ledger.open_or_judge(world.corpus, "long", selections)
    for full in (False, True):
        write_release(world.corpus, ledger, tmp_path / f"{full}", "index", full_ledger=full)
        assert verify(tmp_path / f"{full}") == []
        listed = [row for row in decisions(tmp_path / f"{full}") if row["kind"] == "decision" and row["step"]]
        values = {row["step"]: [r["value"] for r in listed if r["step"] == row["step"]] for row in listed}
        assert all("language_confidence" in value for value in values[2])
        assert any(values[1]) == full


@pytest.mark.parametrize(
    "rule",
    ["noai", "not document.noimageai", "x_robots_tag is null", "opt_out < 1", "tdm_reservation = 0", "tombstone",
     "nsfw_score < 0.5", "image.safety > 0.9", "document.license in ('CC')", "taken down", "NoIndex"],
)  # fmt: skip
def test_rules_on_rights_and_safety_are_private(rule):
    assert is_private(rule)


@pytest.mark.parametrize(
    "rule",
    ["width >= 64", "language in ('en', 'zh')", "num_characters > 5", "text_source = 'alt'", "tier_score > 0.5", None],
)
def test_other_rules_are_not(rule):
    assert not is_private(rule)
