"""Errors that are meant for the person who reads them: the value, the rule, the next step."""

from __future__ import annotations


class TuwenError(Exception):
    """Something failed that the user can understand and act on. The command line exits with 1."""


class UsageError(TuwenError):
    """The request itself is wrong: a recipe, a rule, an option. The command line exits with 2."""


def missing_extra(extra: str, package: str) -> TuwenError:
    """The error for a package that is not installed because the extra that brings it was not asked for."""
    return TuwenError(f"{package} is not installed; run: pip install 'tuwen[{extra}]'")
