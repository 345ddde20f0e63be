"""Arrow columns as Python values, whatever strangers put into them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

# A date beyond the year 9999, nanoseconds, text that is no UTF-8, a time zone nobody knows, a type Arrow cannot write.
_BEYOND_PYTHON = (OverflowError, ValueError, KeyError, TypeError, pa.ArrowException)


def plain_values(column: pa.Array) -> list[Any]:
    """The values of a column. Those that Python has no word for become strings as Arrow writes them, or else None."""
    try:
        return list(column.to_pylist())
    except _BEYOND_PYTHON:
        return [_plain_value(scalar) for scalar in column]


def _plain_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except _BEYOND_PYTHON:
        pass
    try:
        if isinstance(scalar, pa.ExtensionScalar):
            return _plain_value(scalar.value)
        if isinstance(scalar, pa.StructScalar):
            return {field.name: _plain_value(scalar[place]) for place, field in enumerate(scalar.type)}
        if isinstance(scalar, pa.ListScalar):  # of any size, and maps
            return [_plain_value(item) for item in scalar.values]
        if isinstance(scalar, pa.StringScalar):
            return scalar.as_buffer().to_pybytes().decode("utf-8", "replace")
        text = scalar.cast(pa.string()).as_py()
        return None if text is None or text.startswith("<value out of range") else text  # beyond the year 32767
    except _BEYOND_PYTHON:
        return None
