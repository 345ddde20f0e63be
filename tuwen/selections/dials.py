"""The numbers in a selection that can be turned: what something is compared with, and each size of a step.

for dial in dials(selection):
    preview(corpus, turned(selection, dial, "0.4"), selections)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tuwen.errors import UsageError
from tuwen.selections import tree
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import NamedStep, Selection
from tuwen.selections.steps import Step
from tuwen.selections.steps.rule import Rule
from tuwen.selections.steps.threshold import Threshold
from tuwen.selections.tree import Call, Node, Number

_SIGNS = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}  # and what each is from the other side
_ARITHMETIC = ("+", "-", "*", "/")
_FIXED = ("seed", "min_rows")  # numbers of steps that nobody would turn to see more or fewer rows
Path = tuple[int, ...]


@dataclass(frozen=True)
class Dial:
    """One number of a selection.

    `step` counts from 1, `at` counts the numbers of that step from 0. Where a number is compared with something,
    `compared` is that, `sign` stands between the two, and `above` says whether a larger value passes; not so where
    something is reckoned with it (`5 * width`). `rule` is the condition on the row that the step states, and `part`
    counts, from 0, the one of its conjuncts that holds the number, as the step's counts in a ledger are. `place`
    counts, from 0, the one of the rule's `conditions` that holds it; `alone`: that one is this comparison and nothing
    else, so where the others hold, this number decides. `limit`: 0 or 1 for the lower and the upper of two limits that
    a ledger counts together. `field`: the parameter of the step that holds it, if it is a parameter by itself.
    """

    step: int
    at: int
    value: str
    label: str
    compared: Expression | None = None
    sign: str = ""
    above: bool = True
    rule: Expression | None = None
    field: str | None = None
    path: Path = ()
    part: int = 0
    place: int = 0
    alone: bool = False
    limit: int | None = None

    @property
    def own(self) -> Expression | None:
        """The condition that holds the number."""
        return conditions(self.rule)[self.place] if self.rule is not None else None

    @property
    def others(self) -> list[Expression]:
        """All other conditions of the step."""
        known = conditions(self.rule) if self.rule is not None else []
        return known[: self.place] + known[self.place + 1 :]


def dials(selection: Selection) -> list[Dial]:
    """All numbers of a selection, in the order of its steps."""
    return [dial for number, named in enumerate(selection.steps, 1) for dial in dials_of(named.step, number)]


def dial_at(selection: Selection, step: int, at: int) -> Dial:
    """One number of a selection; `UsageError` where there is none."""
    for dial in dials(selection):
        if (dial.step, dial.at) == (step, at):
            return dial
    raise UsageError(f"selection {selection.name!r} has no threshold {at} in step {step}")


def dials_of(step: Step, number: int) -> list[Dial]:
    """The numbers of one step."""
    found = _of_rule(step) if isinstance(step, Rule) else [*_limits(step), *_sizes(step)]
    return [replace(dial, step=number, at=at) for at, dial in enumerate(found)]


def turned(selection: Selection, dial: Dial, value: str) -> Selection:
    """The selection with another number there. `UsageError` unless `value` is one that the step can have."""
    number = tree.number(value.strip())
    if not math.isfinite(float(number.text)):
        raise UsageError(f"{value!r} is too large a number")
    index = dial.step - 1
    step = _turned(selection.steps[index].step, dial, number)
    steps = list(selection.steps)
    steps[index] = NamedStep(step, steps[index].given_name)
    return replace(selection, steps=tuple(steps))


def _turned(step: Step, dial: Dial, number: Number) -> Step:
    if isinstance(step, Rule):
        root = _with_number(Expression.parse(step.where).root, dial.path, number)
        return Rule(str(Expression(root)))
    current = getattr(step, str(dial.field))
    whole = isinstance(current, int)
    try:
        value: Any = number.text if isinstance(current, str) else int(number.text) if whole else float(number.text)
    except ValueError:
        raise UsageError(f"{dial.label} takes a whole number, not {number.text}") from None
    return dataclasses.replace(step, **{str(dial.field): value})  # type: ignore[type-var]


def rule_of(step: Step) -> Expression | None:
    """The condition on the row alone that a step states; None for steps that look at other rows."""
    if isinstance(step, Rule):
        return Expression.parse(step.where)
    if isinstance(step, Threshold):
        limits = [(sign, limit) for sign, limit in ((">=", step.at_least), ("<=", step.at_most)) if limit is not None]
        if all(isinstance(Expression.parse(str(limit)).root, Number) for _, limit in limits):
            return Expression.parse(" and ".join(f"({step.of}) {sign} {limit}" for sign, limit in limits))
    return None


def conditions(rule: Expression) -> list[Expression]:
    """What must all be true, as `Expression.conjuncts`, with both limits of a `between` by themselves."""
    return [each for conjunct in rule.conjuncts() for each in _limits_of(conjunct)]


def _limits_of(conjunct: Expression) -> list[Expression]:
    root = conjunct.root
    if not isinstance(root, Call) or root.name != "between":
        return [conjunct]
    of, *limits = root.arguments
    return [Expression(tree.call(sign, (of, limit))) for sign, limit in zip((">=", "<="), limits, strict=True)]


def _of_rule(step: Rule) -> list[Dial]:
    rule = Expression.parse(step.where)
    return [_placed(dial, rule) for dial in _compared(rule.root, (), True)]


def _placed(dial: Dial, rule: Expression) -> Dial:
    """With its place among what the rule asks for."""
    conjuncts = rule.conjuncts()
    part, *inner = dial.path if len(conjuncts) > 1 else (0, *dial.path)
    before = sum(len(_limits_of(each)) for each in conjuncts[:part])
    alone = len(inner) == 1  # the number is an argument of the conjunct itself
    limit = inner[0] - 1 if alone and len(_limits_of(conjuncts[part])) > 1 else None
    return replace(dial, rule=rule, part=part, place=before + (limit or 0), alone=alone, limit=limit)


def _compared(node: Node, path: Path, asserted: bool) -> Iterator[Dial]:
    """Comparisons with a number below a node; `asserted`: not within an odd number of negations."""
    if not isinstance(node, Call):
        return
    if node.name in _SIGNS:
        left, right = node.arguments
        if isinstance(right, Number) and not isinstance(left, Number):
            yield _dial(left, node.name, right, (*path, 1), asserted)
            return
        if isinstance(left, Number) and not isinstance(right, Number):
            yield _dial(right, _SIGNS[node.name], left, (*path, 0), asserted)
            return
        yield from _reckoned(node, path, str(Expression(node)))
        return
    if node.name == "between":
        for place, sign in ((1, ">="), (2, "<=")):
            if isinstance(limit := node.arguments[place], Number):
                yield _dial(node.arguments[0], sign, limit, (*path, place), asserted)
        return
    turns = node.name in ("not", "is false", "is not true")
    for place, argument in enumerate(node.arguments):
        yield from _compared(argument, (*path, place), asserted != turns)


def _reckoned(node: Call, path: Path, comparison: str) -> Iterator[Dial]:
    """Numbers in the arithmetic on the sides of a comparison: factors, summands."""
    for place, argument in enumerate(node.arguments):
        if isinstance(argument, Number):
            yield Dial(0, 0, argument.text, f"{comparison}: {argument.text}", path=(*path, place))
        elif isinstance(argument, Call) and argument.name in _ARITHMETIC:
            yield from _reckoned(argument, (*path, place), comparison)


def _dial(what: Node, sign: str, limit: Number, path: Path, asserted: bool) -> Dial:
    compared = Expression(what)
    above = sign.startswith(">") == asserted
    return Dial(0, 0, limit.text, f"{compared} {sign} {limit.text}", compared, sign, above, path=path)


def _with_number(node: Node, path: Path, number: Number) -> Node:
    if not path:
        return number
    if not isinstance(node, Call):
        raise UsageError("the rule is another one than when its numbers were looked for")
    place, *rest = path
    arguments = list(node.arguments)
    arguments[place] = _with_number(arguments[place], tuple(rest), number)
    return tree.call(node.name, tuple(arguments))


def _limits(step: Step) -> Iterator[Dial]:
    """Limits of a threshold that are numbers, not statistics."""
    if not isinstance(step, Threshold):
        return
    of = Expression.parse(step.of)
    rule = rule_of(step)
    for field, sign in (("at_least", ">="), ("at_most", "<=")):
        limit = getattr(step, field)
        root = Expression.parse(str(limit)).root if limit is not None else None
        if isinstance(root, Number):
            label = f"{of} {sign} {root.text}"
            limit_of_two = ("at_least", "at_most").index(field) if rule and len(conditions(rule)) > 1 else None
            yield Dial(
                0, 0, root.text, label, of, sign, sign == ">=", rule, field,
                place=limit_of_two or 0, alone=rule is not None, limit=limit_of_two,
            )  # fmt: skip


def _sizes(step: Step) -> Iterator[Dial]:
    """Parameters of a step that are numbers: a share, a number of rows, how many of each."""
    for field in dataclasses.fields(step):  # type: ignore[arg-type]
        value = getattr(step, field.name)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        is_limit = isinstance(step, Threshold) and field.name in ("at_least", "at_most")
        if known and not is_limit and field.name not in _FIXED:
            yield Dial(0, 0, f"{value!r}", f"{field.name} = {value!r}", field=field.name)
