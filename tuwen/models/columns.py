"""Examples as the columns that training and evaluation read, in memory or read when they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.models.features import Batch

BLOCK = 256  # rows that are read at once where somebody goes through a column


class Columns(Mapping[str, Any]):
    """Named columns of equal length: lists, arrays, or what gives an array or list for `values[rows]`.

    Images are uint8 (N, side, side, 3), texts are lists of strings, several texts of an example a list of lists.
    """

    def __init__(self, /, **columns: Any) -> None:
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            usual = max(lengths.values(), key=list(lengths.values()).count)
            others = {name: length for name, length in lengths.items() if length != usual}
            raise UsageError(f"columns differ in length: {usual}, but {others}")
        self._columns = columns
        self.num_rows = next(iter(lengths.values()), 0)

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns:
            raise UsageError(f"no column {name!r}; there are: {', '.join(self._columns)}")
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Batch:
        """These rows, in this order."""
        return {
            name: [values[row] for row in rows] if isinstance(values, list) else values[rows]
            for name, values in self._columns.items()
        }

    def batches(self, order: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """`take` of each of these rows, one after the other."""
        return map(self.take, order)

    def subset(self, rows: NDArray[np.int64] | Sequence[int]) -> Columns:
        """The same columns of these rows; what is neither list nor array is not read for this."""
        numbers = np.asarray(rows, np.int64)
        return Columns(**{name: chosen(values, numbers) for name, values in self._columns.items()})

    def with_columns(self, /, **columns: Any) -> Columns:
        """With more columns, or others in their place."""
        return Columns(**{**self._columns, **columns})

    @property
    def texts(self) -> list[str]:
        """All texts of all columns, each as often as it stands there."""
        found: list[str] = []
        for values in self._columns.values():
            for value in values if isinstance(values, list) else ():
                found += [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]
        return found


class Chosen(Sequence[Any]):
    """Some rows of a column, read when somebody asks for them."""

    def __init__(self, values: Any, rows: NDArray[np.int64]) -> None:
        self._values, self._rows = values, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), BLOCK):
            yield from self._values[self._rows[start : start + BLOCK]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        return np.asarray(self._values[self._rows], dtype)

    def __getitem__(self, rows: Any) -> Any:
        """`[:]` is the column itself, as a list or an array would be too large."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        numbers = self._rows[rows]
        return self._values[int(numbers) if np.ndim(numbers) == 0 else numbers]


def chosen(values: Any, rows: NDArray[np.int64]) -> Any:
    """These rows of a column: a list of a list, an array of an array, else `Chosen`."""
    if isinstance(values, list):
        return [values[row] for row in rows]
    return values[rows] if isinstance(values, np.ndarray) else Chosen(values, rows)
