"""What claims and recipes are read into: unknown keys are refused, with the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tuwen.errors import UsageError
from tuwen.parts import nearest

MOST_PROBLEMS = 5
LARGEST_SEED = 2**63 - 1  # that all generators take


class Strict(BaseModel):
    """A mapping with the keys of its fields, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, told: Any) -> Any:
        for key in told if isinstance(told, Mapping) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {key!r}; {nearest(str(key), cls.model_fields)}")
        return told

    @classmethod
    def checked(cls, told: Any, name: str) -> Self:
        """Read `told`; `UsageError` says what is wrong in `name`, and where."""
        try:
            return cls.model_validate(told)
        except ValidationError as error:
            found = [(each["loc"], each["type"], each["msg"].removeprefix("Value error, ")) for each in error.errors()]
            lines = [
                f"{'.'.join(map(str, place))}: {told}" if place else told
                for place, kind, told in found  # a list with a wrong value is called short of it, too: left out
                if kind != "too_short" or not any(len(other) > len(place) for other, _, _ in found)
            ]
            raise UsageError(f"{name}: " + "; ".join(lines[:MOST_PROBLEMS])) from error
