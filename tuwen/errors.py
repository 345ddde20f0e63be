"""Errors that are meant for the person who reads them: the value, the rule, the next step."""

from __future__ import annotations

import re

_IN_ITS_CODE = re.compile(r", /(?:home|rustc|root)/\S+(?::\d+)+.*$")


class TuwenError(Exception):
    """Something failed that the user can understand and act on. The command line exits with 1."""


class UsageError(TuwenError):
    """The request itself is wrong: a recipe, a rule, an option. The command line exits with 2."""


def first_line(error: BaseException) -> str:
    """What a library says, in one line, without where in its code: that says nothing to who reads it."""
    return _IN_ITS_CODE.sub("", (str(error).splitlines() or [type(error).__name__])[0])[:200]


def missing_extra(extra: str, package: str) -> TuwenError:
    """The error for a package that is not installed because the extra that brings it was not asked for."""
    return TuwenError(f"{package} is not installed; run: pip install 'tuwen[{extra}]'")
