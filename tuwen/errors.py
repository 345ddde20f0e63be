"""Errors that are meant for the person who reads them: the value, the rule, the next step."""

from __future__ import annotations


class TuwenError(Exception):
    """Something failed that the user can understand and act on. The command line exits with 1."""


class UsageError(TuwenError):
    """The request itself is wrong: a recipe, a rule, an option. The command line exits with 2."""
