"""A view is its URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuwen.errors import UsageError
from tuwen.explorer.view import Term, View, joined

NAMES = st.from_regex(r"[a-z][\w-]{0,20}", fullmatch=True)
TERMS = st.one_of(
    st.builds(Term, NAMES, st.booleans()),
    st.builds(lambda name, step: Term(name, False, step), NAMES, st.integers(0, 99)),
)
RULES = st.sampled_from(["", "width >= 200", "text ilike '%a''b%'", "a = 1 and (b = 2 or c = 3)", "language = '中文'"])
COORDINATES = st.integers(-999, 999).map(lambda number: number / 10)
VIEWS = st.builds(
    View,
    unit=st.sampled_from(["image", "pair", "document"]),
    where=RULES,
    terms=st.lists(TERMS, max_size=8, unique=True).map(tuple),
    q=st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.strip),
    by=st.sampled_from(["words", "meaning", "both"]),
    like=st.sampled_from(["", "abcd", "0" * 32]),
    image=st.sampled_from(["", "f" * 32]),
    sort=st.sampled_from(["", "width", "width desc"]),
    lasso=st.one_of(st.just(()), st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9).map(tuple)),
    after=st.sampled_from(["", "60", "-1.5e-07:33"]),
)


@given(VIEWS)
def test_a_url_gives_the_view_it_was_made_of(view: View) -> None:
    url = urlsplit(view.url("/", page="other"))
    assert View.from_query(parse_qsl(url.query, keep_blank_values=True)) == view
    assert url.path == "/" and "<" not in url.query and '"' not in url.query


@given(VIEWS, st.sampled_from(["height < 9", "language = 'a and b'"]))
def test_rules_come_and_go(view: View, rule: str) -> None:
    more = view.with_rule(rule)
    assert more.rules == [*view.rules, rule] and more.after == ""
    assert more.without_rule(rule).rules == view.rules


@given(st.text(max_size=40))
def test_any_text_is_a_term_or_refused(text: str) -> None:
    try:
        term = Term.parse(text)
    except UsageError:
        return
    assert Term.parse(str(term)) == term


@pytest.mark.parametrize(
    "query",
    [
        "unit=fetch", "where=width >=", "where=1; drop table pairs", "where=(select 1)", "where=read_csv('x') is null",
        "is=!strong:2", "is=a b", "is=../x", "by=magic", "like=zz", "image=<script>", "after=1 or 1", "after=1:2:3",
        "lasso=1,2;3,4", "lasso=a,b;c,d;e,f", "lasso=nan,1;2,3;4,5", "lasso=inf,1;2,3;4,5",
        "lasso=" + "1,2;" * 501 + "1,2",
        "&".join(f"is=s{number}" for number in range(9)),
    ],
)  # fmt: skip
def test_what_no_page_gave_out_is_refused(query: str) -> None:
    with pytest.raises(UsageError):
        View.from_query([tuple(each.split("=", 1)) for each in query.split("&")])  # type: ignore[misc]


def test_a_selection_has_one_verdict_in_a_view() -> None:
    view = View(terms=(Term("a"), Term("b", False)))
    assert view.with_term(Term("a", False, 3)).terms == (Term("b", False), Term("a", False, 3))
    assert view.with_term(None, of="b").terms == (Term("a"),)


def test_rules_are_joined_as_they_bind() -> None:
    assert joined(["a = 1 or b = 2", "c = 3"]) == "(a = 1 or b = 2) and c = 3"
