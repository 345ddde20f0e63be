"""Selections saved in a corpus: they count as the recipe's, a damaged one stops nothing, and names are kept apart."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import yaml

from tuwen.corpus.corpus import write_json
from tuwen.errors import UsageError
from tuwen.selections.ledger import Ledger
from tuwen.selections.saved import FOLDER, MAX_BYTES, forget, recipe_text, save, saved_names
from tuwen.selections.selection import Selection, parse_selections, selections_of
from tuwen.selections.why import why

RECIPE = {"wide": {"unit": "image", "steps": [{"rule": "width >= 5"}]}}


@pytest.fixture
def corpus(make_corpus, key):
    made = make_corpus(images=[{"image_id": key(n), "bytes": b"%d" % n, "width": n} for n in range(10)])
    write_json(made.path / "recipe.json", {"selections": RECIPE})
    return made


def selection(name="图文-1", steps=({"within": "wide"}, {"rule": "width <= 7"})):
    return Selection.from_mapping(name, {"unit": "image", "steps": list(steps)})


def test_a_saved_selection_counts_as_the_recipes(corpus, key):
    save(corpus, selection(), selections_of(corpus))
    assert list(selections_of(corpus)) == ["wide", "图文-1"]
    assert Ledger.open_or_judge(corpus, "图文-1").num_kept == 3
    verdicts = {each.selection: each.kept for each in why(corpus, key(9)).verdicts}
    assert verdicts == {"wide": True, "图文-1": False}


def test_its_text_is_a_piece_of_a_recipe(corpus):
    made = selection(
        steps=(
            {"within": "wide"},
            {"best": {"per": ["width"], "by": ["width desc"]}},
            {"rule": {"where": "width < 9", "name": "not huge"}},
        )
    )
    text = recipe_text(made)
    assert parse_selections({**RECIPE, **yaml.safe_load(text)["selections"]})["图文-1"] == made
    assert "- within: wide" in text and "k:" not in text  # as people write it, without what is the default


@pytest.mark.parametrize(
    "name, told", [("wide", "recipe"), ("../x", "letters"), ("", "letters"), ("a b", "letters"), (".hidden", "letters")]
)
def test_names_that_are_refused(name, told, corpus):
    with pytest.raises(UsageError, match=told):
        save(corpus, replace(selection(), name=name), selections_of(corpus))
    assert saved_names(corpus) == []


def test_a_name_is_taken_whatever_its_case(corpus):
    save(corpus, selection("Mine"), selections_of(corpus))
    for name in ("Mine", "mine"):
        with pytest.raises(UsageError, match="already"):
            save(corpus, selection(name), selections_of(corpus))
    save(corpus, selection("Mine", [{"rule": "width = 1"}]), selections_of(corpus), replace=True)
    assert Ledger.open_or_judge(corpus, "Mine").num_kept == 1


def test_what_does_not_fit_is_not_saved(corpus):
    for steps in ([{"within": "nobody"}], [{"within": "mine"}]):
        with pytest.raises(UsageError):
            save(corpus, selection("mine", steps), selections_of(corpus))
    assert not list((corpus.path / FOLDER).glob("*")) if (corpus.path / FOLDER).exists() else True


def test_the_recipe_wins_a_name_that_it_gets_later(corpus):
    save(corpus, selection("mine"), selections_of(corpus))
    write_json(corpus.path / "recipe.json", {"selections": RECIPE | {"mine": {"unit": "image"}}})
    assert selections_of(corpus)["mine"].steps == ()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "selections: {}",
        "selections: {other: {unit: image}}",
        "selections: {bad: {unit: x}}",
        "selections: {bad: {unit: image, steps: [{within: gone}]}}",
        "selections: {bad: {unit: image, steps: " + "[" * 1_200 + "]" * 1_200 + "}}",
        "selections: {bad: {unit: !!set {a}}}",
        "a: &a {rule: width > 1}\nselections: {bad: {unit: image, steps: [*a]}}",
        "selections: {bad: {unit: image, steps: [{rule: width > 1}]}}" + " " * MAX_BYTES,
    ],
)
def test_a_damaged_one_is_left_out_with_a_warning(text, corpus, caplog):
    save(corpus, selection("good"), selections_of(corpus))
    (corpus.path / FOLDER / "bad.yaml").write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert list(selections_of(corpus)) == ["wide", "good"]
    assert "bad.yaml" in caplog.text


def test_saved_ones_build_on_each_other_in_any_order(corpus):
    save(corpus, selection("z"), selections_of(corpus))
    save(corpus, selection("a", [{"within": "z"}]), selections_of(corpus))
    assert set(selections_of(corpus)) == {"wide", "z", "a"}
    with pytest.raises(UsageError, match="builds on"):
        forget(corpus, "z", selections_of(corpus))
    forget(corpus, "a", selections_of(corpus))
    forget(corpus, "z", selections_of(corpus))
    assert list(selections_of(corpus)) == ["wide"]
    with pytest.raises(UsageError, match="no selection"):
        forget(corpus, "wide", selections_of(corpus))
