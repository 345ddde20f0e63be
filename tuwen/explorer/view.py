"""What is looked at, as the query string of a page: everything that a page shows follows from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from tuwen.errors import UsageError
from tuwen.selections.expressions import Expression
from tuwen.selections.selection import UNITS

MAX_TERMS = 8
MAX_POINTS = 500
MAX_LIST = 1500  # characters by which the links of a page name their list
WAYS = ("words", "meaning", "both")
MAX_RULE = 2_000  # characters of a filter
_TOKENS = {"like": "[0-9a-f]{4,32}", "image": "[0-9a-f]{32}", "after": r"(-?inf|[0-9.e+-]{1,40})(:\d{1,18})?"}
_TERM = re.compile(r"(!?)([^\W_][\w-]{0,99})(?::(\d{1,4}))?")


@dataclass(frozen=True)
class Term:
    """What a selection said: kept (`strong`), refused (`!strong`), or at which step (`strong:3`; 0: taken down)."""

    selection: str
    kept: bool = True
    step: int | None = None

    @classmethod
    def parse(cls, text: str) -> Term:
        """From the text that `str` gives. `UsageError` for any other."""
        found = _TERM.fullmatch(text)
        if found is None or (found[1] and found[3]):
            raise UsageError(f"{text!r} is not NAME, !NAME or NAME:STEP")
        step = int(found[3]) if found[3] else None
        return cls(found[2], not found[1] and step is None, step)

    def __str__(self) -> str:
        if self.step is not None:
            return f"{self.selection}:{self.step}"
        return self.selection if self.kept else f"!{self.selection}"


@dataclass(frozen=True)
class View:
    """Rows of one unit that are looked at, checked when made. `UsageError` says what is wrong with it.

    `where`: a rule, as in selections. `terms`: what selections must have said. `q`: words, a meaning, or an id to look
    for, `by` one of `WAYS`; `like`: an id to find more like; `image`: digest of an uploaded picture. `sort`: a column,
    ` desc` behind it for the largest first. `lasso`: points of a polygon on the map of `UNIT.COLUMN` vectors.
    `after`: where the page before this one ended.
    """

    unit: str = "image"
    where: str = ""
    terms: tuple[Term, ...] = ()
    q: str = ""
    by: str = "words"
    like: str = ""
    image: str = ""
    sort: str = ""
    lasso: tuple[tuple[float, float], ...] = ()
    after: str = ""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UsageError(f"what is shown is one of {', '.join(UNITS)}, not {self.unit!r}")
        if self.by not in WAYS:
            raise UsageError(f"a text is sought by {', '.join(WAYS)}, not by {self.by!r}")
        if len(self.terms) > MAX_TERMS:
            raise UsageError(f"at most {MAX_TERMS} verdicts can be asked for at once")
        for name, pattern in _TOKENS.items():
            value = getattr(self, name)
            if value and not re.fullmatch(pattern, value):
                raise UsageError(f"{name}={value[:60]!r} is none that this page gave out")
        if self.where:
            parsed(self.where)

    @classmethod
    def from_query(cls, items: Iterable[tuple[str, str]], unit: str = "image") -> View:
        """From the parameters of a URL. Unknown ones belong to others and are ignored."""
        given: dict[str, Any] = {"unit": unit}
        terms = []
        for name, value in items:
            if name == "is":
                terms += [Term.parse(value)] if value else []
            elif name == "lasso":
                given[name] = _points(value)
            elif name in _TEXTS:
                given[name] = value.strip()
        return cls(**(given | {"unit": given["unit"] or unit}), terms=tuple(dict.fromkeys(terms)))

    def parameters(self) -> list[tuple[str, str]]:
        """Names and values for a URL, without those that say nothing."""
        found = [("unit", self.unit)]
        found += [(name, getattr(self, name)) for name in _TEXTS[1:] if getattr(self, name) != _DEFAULTS[name]]
        found += [("is", str(term)) for term in self.terms]
        if self.lasso:
            found.append(("lasso", ";".join(f"{x:.4g},{y:.4g}" for x, y in self.lasso)))
        return found

    def url(self, path: str = "/", **others: str | int) -> str:
        """The page `path` for this view; `others` are parameters of that page."""
        return f"{path}?{urlencode([*self.parameters(), *((name, str(value)) for name, value in others.items())])}"

    @property
    def as_list(self) -> str:
        """`?…` for links to rows of this list; empty for all rows as they are stored, and where it is too long."""
        is_all = self == View(unit=self.unit, by=self.by, after=self.after)
        return "" if is_all or len(url := self.url("")) > MAX_LIST else url

    def changed(self, **values: Any) -> View:
        """Another view, from its first page on."""
        return replace(self, **{"after": "", **values})

    @property
    def rule(self) -> Expression | None:
        """`where` as a tree."""
        return Expression.parse(self.where) if self.where else None

    @property
    def rules(self) -> list[str]:
        """What must all be true, each by itself, as text."""
        return [str(each) for each in self.rule.conjuncts()] if self.rule else []

    def with_rule(self, rule: str) -> View:
        """This view with one more rule."""
        return self.changed(where=joined([*self.rules, rule]))

    def without_rule(self, rule: str) -> View:
        """This view without a rule."""
        return self.changed(where=joined([each for each in self.rules if each != rule]))

    def with_term(self, term: Term | None, of: str | None = None) -> View:
        """This view with a verdict of a selection instead of those it had of the same one (`of`)."""
        name = term.selection if term else of
        kept = tuple(each for each in self.terms if each.selection != name)
        return self.changed(terms=(*kept, term) if term else kept)

    @property
    def is_search(self) -> bool:
        """Whether rows come in the order of how well they answer."""
        return bool(self.q or self.like or self.image)


_TEXTS = ("unit", "where", "q", "by", "like", "image", "sort", "after")
_DEFAULTS = {field.name: field.default for field in fields(View)}


def parsed(rule: str) -> Expression:
    """A rule of a URL. `UsageError` for one that cannot be read, and for one so long that it is a burden by itself: a
    query can be stopped between a few thousand rows, not within them."""
    if len(rule) > MAX_RULE:
        raise UsageError(f"a filter has at most {MAX_RULE:,} characters, this one {len(rule):,}; save it in a recipe")
    return Expression.parse(rule)


def joined(rules: Sequence[str]) -> str:
    """Rules as one."""
    if len(rules) < 2:
        return "".join(rules)
    return str(Expression.parse(" and ".join(f"({rule})" for rule in rules)))


def _points(text: str) -> tuple[tuple[float, float], ...]:
    """`x,y;x,y;…`, at least three points."""
    try:
        points = tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split(";")))
    except ValueError:
        points = ()
    points = points if all(math.isfinite(number) for point in points for number in point) else ()
    if text and not 3 <= len(points) <= MAX_POINTS:
        raise UsageError(f"a lasso is x,y;x,y;… with 3 to {MAX_POINTS} points")
    return points
