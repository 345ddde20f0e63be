"""The tree of a rule: columns, constants, and calls of operators and functions that are on the list below.

Whatever a rule was written as (text in a recipe, JSON from the explorer), only such a tree is ever turned into SQL.
Everything on the list is pure: its value depends on its arguments alone, and it reads nothing else.

As JSON a column is `{"column": "image.width"}`, a call is `{"<=": [argument, …]}`, and a constant is itself; a number
whose spelling matters (`1e3`) is `{"number": "1e3"}`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tuwen.errors import UsageError

MAX_DEPTH = 50
MANY = 1_000

# What binds tighter has the higher level. An argument in parentheses is never wrong, so levels are coarse.
_OR, _AND, _NOT, _PREDICATE, _ARITHMETIC, _SUBSCRIPT, _ATOM = range(7)

_COMPARISONS = ("=", "<>", "<", ">", "<=", ">=", "is distinct from", "is not distinct from")
_LIKES = ("like", "not like", "ilike", "not ilike")
_TESTS = ("is null", "is not null", "is true", "is not true", "is false", "is not false")

# Name → (level, fewest arguments, most arguments).
OPERATORS: dict[str, tuple[int, int, int]] = {
    "or": (_OR, 2, MANY),
    "and": (_AND, 2, MANY),
    "not": (_NOT, 1, 1),
    **dict.fromkeys((*_COMPARISONS, *_LIKES), (_PREDICATE, 2, 2)),
    **dict.fromkeys(_TESTS, (_PREDICATE, 1, 1)),
    "in": (_PREDICATE, 2, MANY),
    "between": (_PREDICATE, 3, 3),
    **dict.fromkeys(("+", "-", "*", "/", "//", "%", "||"), (_ARITHMETIC, 2, 2)),
    "negate": (_ARITHMETIC, 1, 1),
    "[]": (_SUBSCRIPT, 2, 2),
    "case": (_ATOM, 3, MANY),  # when, then, when, then, …, else
    "try_cast": (_ATOM, 2, 2),  # value, name of a type
}

# Name → (fewest arguments, most arguments). To allow one more function, add it here; it must be pure, and its
# result must not be able to grow beyond the size of its arguments.
FUNCTIONS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("abs", "ceil", "floor", "sign", "sqrt", "ln", "log10", "exp", "isnan", "isfinite"), (1, 1)),
    "round": (1, 2),
    **dict.fromkeys(("greatest", "least", "coalesce"), (1, MANY)),
    "nullif": (2, 2),
    "if": (3, 3),
    "bit_count": (1, 1),  # bit_count(xor(a, b)) is the Hamming distance of two hashes
    "xor": (2, 2),
    **dict.fromkeys(("length", "len", "strlen", "lower", "upper", "trim"), (1, 1)),
    **dict.fromkeys(("contains", "starts_with", "ends_with", "left", "right"), (2, 2)),
    **dict.fromkeys(("regexp_matches", "regexp_full_match", "regexp_extract"), (2, 3)),  # RE2: linear time
    **dict.fromkeys(("list_contains", "list_has_any", "list_has_all", "list_position"), (2, 2)),
    **dict.fromkeys(("list_min", "list_max", "list_sum", "list_avg"), (1, 1)),
    "list_value": (0, MANY),
    **dict.fromkeys(("year", "month", "day"), (1, 1)),  # of a timestamp, in UTC
}

TYPES = {
    "bool": "BOOLEAN",
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "ubigint": "UBIGINT",
    "real": "FLOAT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "text": "VARCHAR",
    "string": "VARCHAR",
    "varchar": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "timestamp with time zone": "TIMESTAMPTZ",
}

_NUMBER = re.compile(r"-?(\d+(_\d+)*\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Column:
    """A column by the name that people write: `width`, or `image.width` for one of a joined table."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A text, a truth value, or null."""

    value: str | bool | None


@dataclass(frozen=True)
class Number:
    """A number as it was spelt: `0.3` is a decimal, `3e-1` a double, and DuckDB compares them differently."""

    text: str


@dataclass(frozen=True)
class Call:
    """An operator or function of the lists above and its arguments. Made by `call`, which checks them."""

    name: str
    arguments: tuple[Node, ...]


Node = Column | Constant | Number | Call


def column(name: object) -> Column:
    """A checked column name: `name` or `table.name`."""
    if not isinstance(name, str) or not 1 <= len(name.split(".")) <= 2 or not all(name.split(".")):
        raise UsageError(f"{name!r} is no column; write `name` of the selection's own table, or `table.name`")
    return Column(_text(name))


def constant(value: object) -> Constant | Number:
    """A checked constant from a plain Python value."""
    if value is None or isinstance(value, bool):
        return Constant(value)
    if isinstance(value, str):
        return Constant(_text(value))
    if isinstance(value, (int, float)):
        return number(repr(value))
    raise UsageError(f"{value!r} is no constant; use a text, a number, true, false or null")


def number(text: object) -> Number:
    """A checked number from its spelling."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text) or len(text) > 400:
        raise UsageError(f"{text!r} is no finite number")
    return Number(text)


def call(name: str, arguments: tuple[Node, ...]) -> Node:
    """A checked call. `and` within `and` and `or` within `or` become one; a negated number becomes a number."""
    low, high = _arity(name)
    if not low <= len(arguments) <= high:
        expected = str(low) if low == high else f"{low} or more" if high == MANY else f"{low} to {high}"
        raise UsageError(f"{name} takes {expected} arguments, got {len(arguments)}")
    if name in ("and", "or"):
        arguments = tuple(part for argument in arguments for part in _parts(name, argument))
    if name == "negate" and isinstance(arguments[0], Number):
        text = arguments[0].text
        return Number(text[1:] if text.startswith("-") else f"-{text}")
    if name == "case" and len(arguments) % 2 == 0:
        raise UsageError("case takes pairs of condition and value, then one value for everything else")
    if name == "try_cast":
        arguments = (arguments[0], Constant(_type(arguments[1])))
    return Call(name, arguments)


def _parts(name: str, node: Node) -> tuple[Node, ...]:
    return node.arguments if isinstance(node, Call) and node.name == name else (node,)


def _arity(name: str) -> tuple[int, int]:
    if name in OPERATORS:
        return OPERATORS[name][1:]
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    close = difflib.get_close_matches(name, FUNCTIONS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(sorted(FUNCTIONS))}"
    raise UsageError(f"{name} is not among the functions of rules; {hint}")


def _type(node: Node) -> str:
    name = node.value if isinstance(node, Constant) else None
    if not isinstance(name, str) or name.lower() not in TYPES:
        raise UsageError(f"cannot cast to {name!r}; allowed: {', '.join(sorted(set(TYPES.values())))}")
    return TYPES[name.lower()]


def _text(value: str) -> str:
    if "\0" in value:
        raise UsageError(f"{value!r} holds a null character, which no rule may")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{value!r} is not valid Unicode") from None
    return value


def columns(node: Node) -> Iterator[str]:
    """Names of all columns in the tree, in reading order, repeated where they are."""
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from columns(argument)


def to_json(node: Node) -> Any:
    """Plain values; see the module's text."""
    if isinstance(node, Column):
        return {"column": node.name}
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Number):
        for kind in (int, float):
            try:
                if repr(kind(node.text)) == node.text:
                    return kind(node.text)
            except ValueError:
                continue
        return {"number": node.text}
    return {node.name: [to_json(argument) for argument in node.arguments]}


def from_json(value: Any, depth: int = 0) -> Node:
    """The inverse of `to_json`, for trees from outside: everything is checked."""
    if depth > MAX_DEPTH:
        raise UsageError(f"the rule is nested more than {MAX_DEPTH} levels deep")
    if not isinstance(value, dict):
        return constant(value)
    if len(value) != 1:
        raise UsageError(f"{str(value)[:80]!r}: an object in a rule has exactly one key")
    ((name, inner),) = value.items()
    if name == "column":
        return column(inner)
    if name == "number":
        return number(inner)
    if not isinstance(name, str) or not isinstance(inner, list):
        raise UsageError(f"{name}: expected a list of arguments, got {str(inner)[:80]!r}")
    return call(name, tuple(from_json(argument, depth + 1) for argument in inner))


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def plain_name(name: str, reserved: frozenset[str]) -> str:
    """A column as a person would write it: quoted only where it must be."""
    words = (word if _PLAIN_NAME.fullmatch(word) and word not in reserved else quoted(word) for word in name.split("."))
    return ".".join(words)


def to_sql(node: Node, column_sql: Callable[[str], str] = quoted) -> str:
    """DuckDB SQL. `column_sql` says what a column's name becomes."""
    return _render(node, column_sql)[0]


def _render(node: Node, column_sql: Callable[[str], str]) -> tuple[str, int]:
    if isinstance(node, Column):
        return column_sql(node.name), _ATOM
    if isinstance(node, Number):
        return node.text, _ARITHMETIC if node.text.startswith("-") else _ATOM
    if isinstance(node, Constant):
        words = {None: "null", True: "true", False: "false"}
        return literal(node.value) if isinstance(node.value, str) else words[node.value], _ATOM
    if node.name not in OPERATORS:
        return f"{node.name}({', '.join(to_sql(argument, column_sql) for argument in node.arguments)})", _ATOM
    level = OPERATORS[node.name][0]
    if level == _ATOM:
        return _atom(node.name, [to_sql(argument, column_sql) for argument in node.arguments]), _ATOM
    rendered = (_render(argument, column_sql) for argument in node.arguments)
    return _operator(node.name, [text if inner > level else f"({text})" for text, inner in rendered]), level


def _atom(name: str, arguments: list[str]) -> str:
    if name == "try_cast":
        return f"try_cast({arguments[0]} as {arguments[1][1:-1]})"
    branches = zip(arguments[:-1:2], arguments[1::2], strict=True)
    cases = " ".join(f"when {condition} then {value}" for condition, value in branches)
    return f"case {cases} else {arguments[-1]} end"


def _operator(name: str, arguments: list[str]) -> str:
    first, *rest = arguments
    if name == "not":
        return f"not {first}"
    if name == "negate":
        return f"-{first}"
    if name == "[]":
        return f"{first}[{rest[0]}]"
    if name == "in":
        return f"{first} in ({', '.join(rest)})"
    if name == "between":
        return f"{first} between {rest[0]} and {rest[1]}"
    if not rest:
        return f"{first} {name}"
    return f" {name} ".join(arguments)
