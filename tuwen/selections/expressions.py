"""Rules as text: DuckDB expressions, read by DuckDB's own parser into a tree of what is allowed, and nothing else."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuwen.errors import UsageError
from tuwen.selections import tree
from tuwen.selections.tree import Node, call

if TYPE_CHECKING:
    import duckdb

MAX_CHARACTERS = 20_000
_PREFIX = b"SELECT (\n"
_SUFFIX = b"\n)"
_GENERATED = (1 << 64) - 1  # the place DuckDB gives to what nobody wrote

_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_DISTINCT_FROM": "is distinct from",
    "COMPARE_NOT_DISTINCT_FROM": "is not distinct from",
}
_OPERATORS = {
    "OPERATOR_NOT": "not",
    "OPERATOR_IS_NULL": "is null",
    "OPERATOR_IS_NOT_NULL": "is not null",
    "OPERATOR_COALESCE": "coalesce",
    "COMPARE_IN": "in",
    "ARRAY_EXTRACT": "[]",
}
_SPELT = {"~~": "like", "!~~": "not like", "~~*": "ilike", "!~~*": "not ilike"}
_DIRECTION = re.compile(r"\s+(asc|desc)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Expression:
    """A checked expression over the columns of a row. Equal trees are equal, however they were written."""

    root: Node

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read a DuckDB expression. `UsageError` names what is not allowed in a rule, and its place."""
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"expected an expression such as `width >= 64`, got {text!r}")
        if len(text) > MAX_CHARACTERS:
            raise UsageError(f"a rule has at most {MAX_CHARACTERS} characters, this one has {len(text)}")
        return _parse(text)

    @classmethod
    def from_json(cls, value: Any) -> Expression:
        """From the plain values of `to_json`: `{"<=": [{"column": "width"}, 64]}`."""
        return cls(tree.from_json(value))

    def to_json(self) -> Any:
        """The tree as plain values (see `tuwen.selections.tree`)."""
        return tree.to_json(self.root)

    def columns(self) -> tuple[str, ...]:
        """Names of the columns it reads, in reading order."""
        return tuple(dict.fromkeys(tree.columns(self.root)))

    def conjuncts(self) -> list[Expression]:
        """What must all be true: the arguments of a top-level `and`, else the expression itself."""
        if isinstance(self.root, tree.Call) and self.root.name == "and":
            return [Expression(argument) for argument in self.root.arguments]
        return [self]

    def to_sql(self, column_sql: Callable[[str], str] = tree.quoted) -> str:
        """DuckDB SQL; `column_sql` turns a column's name into SQL (default: one quoted identifier, dots and all)."""
        return tree.to_sql(self.root, column_sql)

    def safe_sql(self) -> str:
        """As `to_sql`, null for a row on which it fails (an overflow, say): one bad row never stops a run."""
        sql = self.to_sql()
        return f"TRY({sql})" if isinstance(self.root, tree.Call) else sql

    def __str__(self) -> str:
        """Text that parses to the same tree."""
        return tree.to_sql(self.root, lambda name: tree.plain_name(name, _reserved()))


@dataclass(frozen=True)
class Order:
    """One key of an order: an expression and a direction. Nulls come last in both, and NaN is null."""

    expression: Expression
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Order:
        """`num_bytes desc`, `width * height desc`, `text_position`."""
        direction = _DIRECTION.search(text) if isinstance(text, str) else None
        expression = Expression.parse(text[: direction.start()] if direction else text)
        return cls(expression, direction is not None and direction[1].lower() == "desc")

    def to_sql(self) -> str:
        """For an ORDER BY clause."""
        return f"{known_sql(self.expression.safe_sql())} {'DESC' if self.descending else 'ASC'} NULLS LAST"

    def __str__(self) -> str:
        return f"{self.expression}{' desc' if self.descending else ''}"


def known_sql(sql: str) -> str:
    """SQL of a value that is null where it is NaN, whatever its type."""
    is_nan = f"typeof({sql}) IN ('FLOAT', 'DOUBLE') AND CAST({sql} AS VARCHAR) = 'nan'"
    return f"CASE WHEN {is_nan} THEN NULL ELSE {sql} END"


@functools.lru_cache(maxsize=1_024)
def _parse(text: str) -> Expression:
    try:
        source = text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} is not valid Unicode") from None
    found = _serialized((_PREFIX + source + _SUFFIX).decode())
    if found["error"]:
        place = int(found.get("position", len(_PREFIX))) - len(_PREFIX)
        raise UsageError(f"cannot read {text!r}: {found['error_message']}{_at(source, place)}")
    statements = found["statements"]
    node = statements[0]["node"]
    selected = node.get("select_list", [])
    # Whatever closes the parenthesis early (`1) FROM x WHERE (1`) leaves traces outside the list of results.
    if len(statements) != 1 or len(selected) != 1 or _around(node) != _around(_empty_select()):
        raise UsageError(f"{text!r} is more than one expression; a rule is a single condition on one row")
    return Expression(_Reader(text, source).read(selected[0]))


class _Reader:
    """Turns DuckDB's serialised expressions into our tree, or refuses them by name and place."""

    def __init__(self, text: str, source: bytes) -> None:
        self._text = text
        self._source = source

    def read(self, node: dict[str, Any], depth: int = 0) -> Node:
        readers = {
            "COLUMN_REF": self._column,
            "CONSTANT": self._constant,
            "CONJUNCTION": self._conjunction,
            "COMPARISON": self._comparison,
            "OPERATOR": self._operator,
            "BETWEEN": self._between,
            "FUNCTION": self._function,
            "CASE": self._case,
            "CAST": self._cast,
        }
        reader = readers.get(node["class"])
        if reader is None or depth > tree.MAX_DEPTH:
            what = f"nesting beyond {tree.MAX_DEPTH} levels" if reader else node["class"].lower().replace("_", " ")
            raise self._refused(node, f"{what} is not allowed in a rule")
        try:
            return reader(node, depth + 1)
        except _Located:
            raise
        except UsageError as error:
            raise self._refused(node, str(error)) from None

    def _refused(self, node: dict[str, Any], why: str) -> UsageError:
        place = node.get("query_location", _GENERATED)
        where = "" if place == _GENERATED else _at(self._source, place - len(_PREFIX))
        return _Located(f"cannot use {self._text!r}: {why}{where}")

    def _all(self, nodes: list[dict[str, Any]], depth: int) -> tuple[Node, ...]:
        return tuple(self.read(node, depth) for node in nodes)

    def _column(self, node: dict[str, Any], depth: int) -> Node:
        return tree.column(".".join(node["column_names"]))

    def _constant(self, node: dict[str, Any], depth: int) -> Node:
        kind, text = node["literal"]["kind"], node["literal"]["text"]
        if kind in ("INTEGER", "NUMERIC"):
            return tree.number(text)
        if kind == "STRING":
            return tree.constant(text)
        known = {("BOOLEAN", "true"): True, ("BOOLEAN", "false"): False, ("NULL_LITERAL", ""): None}
        if (kind, text) not in known:
            raise self._refused(node, f"a constant of kind {kind.lower()} is not allowed in a rule")
        return tree.constant(known[kind, text])

    def _conjunction(self, node: dict[str, Any], depth: int) -> Node:
        return call("and" if node["type"] == "CONJUNCTION_AND" else "or", self._all(node["children"], depth))

    def _comparison(self, node: dict[str, Any], depth: int) -> Node:
        name = _COMPARISONS[node["type"]]
        left, right = node["left"], node["right"]
        if left["class"] == "CAST" and left.get("query_location") == _GENERATED and "literal" in right:
            negation = "not " if name == "is distinct from" else ""  # `x is [not] true` comes as a comparison
            return call(f"is {negation}{right['literal']['text']}", (self.read(left["child"], depth),))
        return call(name, self._all([left, right], depth))

    def _operator(self, node: dict[str, Any], depth: int) -> Node:
        name = _OPERATORS.get(node["type"])
        if name is None:
            raise self._refused(node, f"{node['type'].lower().replace('_', ' ')} is not allowed in a rule")
        return call(name, self._all(node["children"], depth))

    def _between(self, node: dict[str, Any], depth: int) -> Node:
        return call("between", self._all([node["input"], node["lower"], node["upper"]], depth))

    def _function(self, node: dict[str, Any], depth: int) -> Node:
        name = node["function_name"].lower()
        arguments = [argument["expression"] for argument in node["arguments"]]
        plain = not (
            node["schema"] or node["catalog"] or node["filter"] or node["distinct"] or node["order_bys"]["orders"]
        )
        if not plain or any(argument["name"] for argument in node["arguments"]):
            raise self._refused(node, f"{name} is used in a way that only aggregates and macros allow")
        if node["is_operator"]:
            name = "negate" if name == "-" and len(arguments) == 1 else _SPELT.get(name, name)
        if name in tree.OPERATORS and not node["is_operator"]:
            raise self._refused(node, f"{name} is an operator, not a function")
        return call(name, self._all(arguments, depth))

    def _case(self, node: dict[str, Any], depth: int) -> Node:
        parts = [part for check in node["case_checks"] for part in (check["when_expr"], check["then_expr"])]
        return call("case", self._all([*parts, node["else_expr"]], depth))

    def _cast(self, node: dict[str, Any], depth: int) -> Node:
        kind = node["type_expr"]
        if kind.get("children") or kind.get("catalog") or kind.get("schema"):
            raise self._refused(node, "casts go to plain types only")
        # A value that does not fit becomes null instead of stopping the run: one bad row must not.
        return call("try_cast", (self.read(node["child"], depth), tree.constant(kind.get("type_name", ""))))


class _Located(UsageError):
    """A refusal that already says where."""


def _at(source: bytes, place: int) -> str:
    if not 0 <= place < len(source):
        return ", at its end" if place >= len(source) else ""
    snippet = source[place : place + 30].decode(errors="ignore").split("\n")[0]
    return f", at character {len(source[:place].decode(errors='ignore')) + 1}: {snippet!r}"


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": "1"})


def _serialized(query: str) -> dict[str, Any]:
    """DuckDB's syntax tree of a query. The query is a value here: it is parsed, never bound or run."""
    row = _parser().cursor().execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchone()
    return dict(json.loads(row[0])) if row else {}


@functools.cache
def _empty_select() -> dict[str, Any]:
    return dict(_serialized("SELECT (1)")["statements"][0]["node"])


def _around(node: dict[str, Any]) -> dict[str, Any]:
    """A SELECT without its results."""
    kept = {key: value for key, value in node.items() if key not in ("select_list", "from_table")}
    return {**kept, "from": (node.get("from_table") or {}).get("type")}


@functools.cache
def _reserved() -> frozenset[str]:
    """Words that mean something else unless quoted."""
    query = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    rows = _parser().cursor().execute(query).fetchall()
    return frozenset(row[0] for row in rows)
