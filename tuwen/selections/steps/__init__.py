"""Steps: what a selection does with the rows that the steps before it left, one file each.

A step is a frozen dataclass. It never touches data; it says, in DuckDB SQL, what must hold for a row to stay:

    @dataclass(frozen=True)
    class Alternate:
        \"\"\"Keep every `n`-th row in the order of ids. <paper URL>\"\"\"

        n: int                                    # the first field takes the short form `- alternate: 3`

        @property
        def reads(self) -> tuple[str, ...]:
            return ()

        def conditions(self, types: Mapping[str, str]) -> list[Condition]:
            rank = f"row_number() OVER (ORDER BY {ID})"
            return [Condition(f"{rank} % {self.n} = 0", str(self), {"rank": rank})]

        def __str__(self) -> str:
            return f"every {self.n}th row"

Put that into `tuwen/selections/steps/alternate.py` and `- alternate: 3` works in every recipe; the conformance tests in
tests/selections/test_steps.py find it by themselves (give it an entry in `EXAMPLES` there).

`keep` sees the columns of `reads`, under the names that recipes use (`"image.width"`, quoted), and `ID`. Windows see
the rows that are left at this point and no others; a query over the relation `SURVIVORS` sees the same rows. What is
not true (false or null) refuses: null means "not computed". Two rules make a step reproducible: break every tie with
`ID`, and draw chance from `uniform`, which depends on the row and a seed only, so that the same rows come out on
every run and a corpus that grows keeps drawing the same numbers. A step whose results change for equal parameters
says so with a class attribute `version: ClassVar[int] = 2`, which makes stored ledgers stale.

Written against this on paper before it was settled: MetaCLIP's balance (`balance.py`), the duplicate-aware up-sampling
of FineWeb2 (`rehydrate.py`, a weight: nothing is dropped and nothing repeated), and the top share by score of POINTS
(`top.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tuwen.errors import UsageError
from tuwen.selections.expressions import Expression, Order
from tuwen.selections.tree import literal, quoted

ID = '"_id"'
SURVIVORS = '"_survivors"'
WITHIN = "within:"  # `within:NAME` is a column: true where selection NAME keeps the row's image, pair or document
SHOWN_CHARACTERS = 200
SHOWN_ITEMS = 10


@dataclass(frozen=True)
class Condition:
    """What must be true of a row for it to stay.

    `keep`: SQL, true or not. `rule`: the threshold in words, as the ledger shows it. `value`: label → SQL of what was
    judged, for the ledger. `alone`: looks at the row itself only, so that it may run in one pass with its neighbours.
    `weight`: SQL of a factor on the sampling weight of rows that stay. `expected`: SQL of one number over `SURVIVORS`:
    how many rows a draw should keep, which the funnel shows beside how many it kept.
    """

    keep: str
    rule: str
    value: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    weight: str | None = None
    expected: str | None = None


@runtime_checkable
class Step(Protocol):
    """What every step has. See the module's text."""

    @property
    def reads(self) -> Sequence[str]:
        """Names of the columns it needs."""
        ...

    def conditions(self, types: Mapping[str, str]) -> Sequence[Condition]:
        """What must hold, in order; `types` gives the DuckDB type of every column in `reads`."""
        ...


def uniform(seed: int, *parts: str) -> str:
    """SQL of a number in [0, 1) drawn from a seed and the text of SQL expressions: 53 bits of an MD5.

    MD5 because its result is fixed for ever; DuckDB's own `hash` changes between versions.
    """
    text = " || ':' || ".join([literal(str(seed)), *(f"CAST({part} AS VARCHAR)" for part in parts)])
    return f"((md5_number_lower({text}) >> 11) / 9007199254740992.0::DOUBLE)"


def shown(name: str, types: Mapping[str, str]) -> str:
    """SQL of a column as the ledger shows it: long texts and lists cut, 0.3 stored as float shown as 0.3, no NaN."""
    column, kind = quoted(name), types[name]
    if kind == "VARCHAR":
        cut = f"left({column}, {SHOWN_CHARACTERS}) || '…'"
        return f"CASE WHEN length({column}) > {SHOWN_CHARACTERS} THEN {cut} ELSE {column} END"
    if kind in ("FLOAT", "DOUBLE"):
        text = f"CAST({column} AS VARCHAR)"
        return f"CASE WHEN isfinite({column}) THEN CAST({text} AS JSON) ELSE to_json({text}) END"
    if kind.endswith("[]"):
        return f"{column}[1:{SHOWN_ITEMS}]"
    if kind in ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"):
        return column
    return f"left(CAST({column} AS VARCHAR), {SHOWN_CHARACTERS})"


def order_by(orders: Sequence[str]) -> str:
    """SQL of an order; the row's id breaks ties."""
    return ", ".join([*(Order.parse(order).to_sql() for order in orders), ID])


def columns_of(*expressions: str, orders: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns read by expressions and orders, each once."""
    names = [name for text in expressions for name in Expression.parse(text).columns()]
    names += [name for order in orders for name in Order.parse(order).expression.columns()]
    return tuple(dict.fromkeys(names))


def require_number(step: str, expression: str, types: Mapping[str, str]) -> None:
    """`UsageError` where the expression is a column of texts, bytes or lists: none of its values is a number."""
    kind = types.get(expression.strip(), "")
    is_other = kind in ("VARCHAR", "BLOB") or kind.endswith("[]")
    require(
        not is_other, f"{step}: {expression!r} holds {kind}, and {step} asks for a number; give a column of numbers"
    )


def require(holds: bool, rule: str) -> None:
    """`UsageError` with the rule unless it holds."""
    if not holds:
        raise UsageError(rule)
