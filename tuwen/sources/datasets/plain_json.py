"""Values from strangers' JSON: parsed without surprises, taken only where they are what a column holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


class BadJson(ValueError):
    """Bytes that are no JSON, or JSON that is beyond all bounds."""


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text in UTF-8; `BadJson` says what is wrong with it.

    Of equal keys the last one counts. NaN and infinities, which JSON has no word for, are read as null.
    """
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except RecursionError:
        raise BadJson("nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, a number of thousands of digits
        raise BadJson(f"{type(error).__name__}: {str(error)[:200]}") from None


def parse_object(data: bytes | str) -> dict[str, Any]:
    """As `parse_json`, of a text that must hold an object."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise BadJson(f"holds a {type(value).__name__}, not an object")
    return value


def text_or_none(value: object) -> str | None:
    """A string, half a surrogate pair replaced as UTF-8 cannot hold it; None for anything else."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def integer_or_none(value: object) -> int | None:
    """A whole number of 32 bits; None for anything else."""
    return value if type(value) is int and -(1 << 31) <= value < 1 << 31 else None


def microseconds_or_none(value: object) -> int | None:
    """A date and time, as such or in ISO 8601, UTC unless it says otherwise, in microseconds since 1970."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def objects_in(value: object) -> list[dict[str, Any]]:
    """The objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
