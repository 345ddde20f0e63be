"""Rules: what is read, what is refused, and that a tree means what DuckDB says its text means."""

from __future__ import annotations

import json

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuwen.errors import UsageError
from tuwen.selections import tree
from tuwen.selections.expressions import Expression, Order, known_sql

NAMES = st.sampled_from(["a", "f", "t", "b", "l", "image.width", "My Col", "order", "标题", 'qu"ote'])
CONSTANTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
).map(tree.constant)
NUMBERS = st.sampled_from(["1e3", ".5", "5.", "0.30", "1_000", "-7", "1E-05"]).map(tree.number)
LEAVES = st.one_of(NAMES.map(tree.column), CONSTANTS, NUMBERS)
ARITIES = {
    **{name: (low, high) for name, (_, low, high) in tree.OPERATORS.items() if name not in ("case", "try_cast")},
    **tree.FUNCTIONS,
}


def calls(inner: st.SearchStrategy[tree.Node]) -> st.SearchStrategy[tree.Node]:
    def of(name: str) -> st.SearchStrategy[tree.Node]:
        low, high = ARITIES[name]
        return st.lists(inner, min_size=low, max_size=min(high, low + 2)).map(
            lambda found: tree.call(name, tuple(found))
        )

    case = st.tuples(st.lists(st.tuples(inner, inner), min_size=1, max_size=2), inner).map(
        lambda found: tree.call("case", (*(each for pair in found[0] for each in pair), found[1]))
    )
    cast = st.tuples(inner, st.sampled_from(sorted(tree.TYPES))).map(
        lambda found: tree.call("try_cast", (found[0], tree.Constant(found[1])))
    )
    return st.one_of(st.sampled_from(sorted(ARITIES)).flatmap(of), case, cast)


TREES = st.recursive(LEAVES, calls, max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(TREES)
@example(tree.call("[]", (tree.Number("-1"), tree.Column("a"))))
def test_text_and_json_of_any_tree_give_it_back(root: tree.Node) -> None:
    expression = Expression(root)
    assert Expression.parse(str(expression)) == expression
    assert Expression.from_json(json.loads(json.dumps(expression.to_json()))) == expression


# Expressions over a table of all types and nulls, written in ways that the tree does not keep.
INTEGERS = st.recursive(
    st.sampled_from(["a", "c", "3", "-2", "length(t)", "len(l)", "(f)::int", "nullif(a, c)", "coalesce(a, 0)"]),
    lambda inner: (
        st.builds(
            "{} {} {}".format,
            inner.map("({})".format),
            st.sampled_from(["+", "-", "*", "//", "%"]),
            inner.map("({})".format),
        )
        | st.builds("case {} when 1 then {} else {} end".format, inner, inner, inner)
        | st.builds("-({})".format, inner)
    ),
    max_leaves=4,
)
TEXTS = st.sampled_from(["t", "'x'", "'it''s'", "lower(t)", "t || '!'", "left(t, 2)", "l[1]", "upper('é')"])
PREDICATES = st.one_of(
    st.builds("{} {} {}".format, INTEGERS, st.sampled_from(["=", "!=", "<>", "<", ">=", "is distinct from"]), INTEGERS),
    st.builds("{} not between {} and {}".format, INTEGERS, INTEGERS, INTEGERS),
    st.builds("{} in ({}, {})".format, INTEGERS, INTEGERS, INTEGERS),
    st.builds("{} not in ('x', 'Xy')".format, TEXTS),
    st.builds("{} {} '%x%'".format, TEXTS, st.sampled_from(["like", "not like", "ilike", "not ilike"])),
    st.builds("regexp_matches({}, '^[a-x]')".format, TEXTS),
    st.builds("{} in l".format, TEXTS),
    st.builds("f <= {}".format, st.sampled_from(["0.3", "3e-1", ".5", "a", "-0.1"])),
    st.builds("({}) is {}".format, INTEGERS, st.sampled_from(["null", "not null"])),
    st.just("b"),
)
CONDITIONS = st.recursive(
    PREDICATES,
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("{} and {} or {}".format, PREDICATES, inner, PREDICATES)
        | st.builds("not {}".format, inner)
        | st.builds(
            "({}) is {}".format,
            inner,
            st.sampled_from(["true", "not true", "false", "not false", "unknown", "not null"]),
        )
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def table() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute("SET error_on_division_by_zero = false")
    connection.execute("CREATE TABLE rows (n INT, a INT, c INT, f FLOAT, t VARCHAR, b BOOLEAN, l VARCHAR[])")
    connection.execute(
        """INSERT INTO rows VALUES (1, 1, 2, 0.3, 'x', true, ['x', 'y']), (2, 0, -3, -0.1, 'Xyz', false, []),
        (3, NULL, 5, NULL, NULL, NULL, NULL), (4, 7, NULL, 0.5, 'it''s', true, [NULL]),
        (5, 3, 3, 3, '图文', NULL, ['!'])"""
    )
    return connection


@settings(max_examples=300, deadline=None)
@given(condition=CONDITIONS)
def test_a_tree_means_what_duckdb_says_its_text_means(table: duckdb.DuckDBPyConnection, condition: str) -> None:
    ours = Expression.parse(condition)
    direct = table.execute(f"SELECT n, ({condition}) FROM rows ORDER BY n").fetchall()
    assert table.execute(f"SELECT n, ({ours.to_sql()}) FROM rows ORDER BY n").fetchall() == direct
    split = " AND ".join(f"({part.to_sql()})" for part in ours.conjuncts())
    assert table.execute(f"SELECT n, ({split}) FROM rows ORDER BY n").fetchall() == direct


WORDS = """a b t ( ) , ; * = < 1 'x' "q" and or not in is null select from where union all read_csv getenv count sum
over lambda : -> -- /* */ $1 ? :: int [ ] { } . main length drop table case when end exists unnest pragma attach copy
with as values current_user rowid columns try any"""
FRAGMENTS = st.lists(
    st.one_of(st.sampled_from([*WORDS.split(), ") from x where ("]), st.text(max_size=3)), max_size=12
).map(" ".join)


@settings(max_examples=500, deadline=None)
@given(FRAGMENTS)
def test_whatever_is_written_only_the_allowed_comes_through(text: str) -> None:
    try:
        expression = Expression.parse(text)
    except UsageError:
        return
    assert _names(expression.root) <= set(tree.OPERATORS) | set(tree.FUNCTIONS)
    assert Expression.parse(str(expression)) == expression


def _names(node: tree.Node) -> set[str]:
    if not isinstance(node, tree.Call):
        return set()
    return {node.name}.union(*map(_names, node.arguments))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a in (select 1)", "subquery is not allowed in a rule, at character 6"),
        ("exists (from x)", "subquery"),
        ("a = any([1, 2])", "subquery"),
        ("sum(a) over () > 1", "window"),
        ("sum(a) > 1", "sum is not among"),
        ("count(*) > 1", "count_star"),
        ("*", "star"),
        ("columns('x') > 1", "star"),
        ("read_csv('/etc/passwd') is null", "read_csv"),
        ("getenv('HOME') = ''", "getenv"),
        ("query('select 1')", "query"),
        ("random() < 0.5", "random"),
        ("repeat(t, 1000000000) = ''", "repeat"),
        ("list_filter(l, lambda x: true) = l", "lambda"),
        ("list_filter(l, x -> x) = l", "lambda"),
        ("a = $1", "parameter"),
        ("a = ?", "parameter"),
        ("main.length(t) = 1", "length"),
        ("length(distinct t) = 1", "length"),
        ("t collate nocase = 'x'", "collate"),
        ("a::mood = 1", "mood"),
        ("a::int[] = l", "plain types"),
        ("a, b", "row"),
        ("1) from x where (1", "more than one expression"),
        ("1) union select (2", "more than one expression"),
        ("1 -- ", ""),
        ("1); drop table x; select (1", "SELECT"),
        ("a and", "syntax error"),
        ("'图文' = t and foo(b)", "at character 14: 'foo(b)'"),
        ("lenght(t) > 1", "did you mean length?"),
        ("a.b.c = 1", "is no column"),
        ("t = 'x\0y'", "null character"),
        ("not " * 80 + "b", "levels"),
        ("", "expected an expression"),
        ("b" * 30_000, "at most"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, named: str) -> None:
    if not named:
        assert Expression.parse(text)  # a comment is harmless: it is not part of the tree
        return
    with pytest.raises(UsageError) as caught:
        Expression.parse(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"column": "a.b.c"},
        {"column": 3},
        {"number": "1; drop"},
        {"number": "nan"},
        {"read_csv": ["x"]},
        {"=": [1]},
        {"=": {"column": "a"}},
        {"case": [1, 2, 3, 4]},
        {"try_cast": [1, "INTEGER); DROP TABLE x; --"]},
        {"try_cast": [1, {"column": "a"}]},
        {"a": [], "b": []},
        {},
        float("nan"),
        [1],
        "\ud800",
    ],
)
def test_trees_from_outside_are_checked(value: object) -> None:
    with pytest.raises(UsageError):
        Expression.from_json(value)
    deep: object = True
    for _ in range(1_000):
        deep = {"not": [deep]}
    with pytest.raises(UsageError):
        Expression.from_json(deep)


def test_conjuncts_and_columns() -> None:
    expression = Expression.parse("(a > 1 and (b or a < 9)) and image.width >= 64")
    assert [str(part) for part in expression.conjuncts()] == ["a > 1", "b or a < 9", "image.width >= 64"]
    assert expression.columns() == ("a", "b", "image.width")


def test_order() -> None:
    product = 'TRY("width" * "height")'
    assert Order.parse("width * height DESC").to_sql() == f"{known_sql(product)} DESC NULLS LAST"
    assert str(Order.parse("num_bytes desc")) == "num_bytes desc"
    assert not Order.parse("descending").descending
    with pytest.raises(UsageError):
        Order.parse("a desc, b")
