"""What an evaluation finds: a row an item, so that anything computed from items can be resampled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.models.columns import Columns


@dataclass(frozen=True)
class Items:
    """Arrays of equal length, one value an item (bool, int, float, or rows of them).

    `group`: what is drawn together when items are resampled, because its items are not independent (texts of one
    image, images of one site): numbers (N,); each item its own group where nothing is said. `rows`: the row of the test
    that each item is about (N,); item n is about row n where nothing is said.
    """

    values: dict[str, NDArray[Any]]
    group: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,), numbered from 0."""
        if not len(self.group):
            return np.arange(len(self), dtype=np.int64)
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)

    def grouped_by(self, values: Any) -> Items:
        """The same items in the groups of a column of the test: items whose rows have equal `values` are one group.

        `values`: one a row of the test, compared as strings. `UsageError` where items do not say their rows and are
        not as many as the rows.
        """
        rows = self.rows if len(self.rows) else np.arange(len(self))
        if len(rows) != len(self) or (not len(self.rows) and len(self) != len(values)):
            raise UsageError(
                f"{len(self)} items of {len(values)} test rows do not say which rows they are about, so no column can "
                "group them; the evaluation has to give `rows`, or group by itself"
            )
        told = np.array([str(values[row]) for row in rows.tolist()])
        return replace(self, group=np.unique(told, return_inverse=True)[1].astype(np.int64))


class Evaluation(Protocol):
    """A measure of models. Larger is better, where the docstring says nothing else."""

    def items(self, model: Any, train: Columns, test: Columns) -> Items:
        """What `model` does with the examples `test`. `train`: for what is fitted on top of the model, such as a
        probe, and for nothing else."""

    def statistic(self, items: Items, indices: NDArray[np.int64]) -> float:
        """The measure over these items, some of which may come twice."""


def measure(name: str, evaluation: Any, model: Any, train: Columns, test: Columns) -> tuple[Items, float]:
    """Items of the evaluation that is called `name`, and its measure over all of them, which may be NaN or infinite.

    `UsageError` where these are no items, arrays of different length, or the measure is no number at all.
    """
    items = evaluation.items(model, train, test)
    if not isinstance(items, Items) or not items.values:
        raise UsageError(
            f"the evaluation {name} gives {type(items).__name__}, not Items with an array of one row an item"
        )
    lengths = {key: len(values) for key, values in items.values.items()}
    if len(items.group):
        lengths["group"] = len(items.group)
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the evaluation {name} gives arrays of different length: {lengths}; each has a row an item")
    found = evaluation.statistic(items, np.arange(len(items), dtype=np.int64))
    try:
        return items, float(found)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the evaluation {name} gives {found!r} for a measure, which is no number") from error


def flags(test: Columns, column: str) -> NDArray[np.bool_]:
    """A column of booleans (N,); `UsageError` where it holds anything else, as numbers are row numbers to numpy."""
    found = np.asarray(test[column])
    if found.dtype != np.bool_ and len(found):
        raise UsageError(f"column {column!r} is of {found.dtype}; to choose examples, a column has to be of bool")
    return found.astype(bool)


def rows_where(test: Columns, where: str | None) -> NDArray[np.int64]:
    """Rows of the test where the column of booleans `where` is true, all without it; `UsageError` if there is none."""
    rows = np.flatnonzero(flags(test, where)) if where is not None else np.arange(test.num_rows)
    if not len(rows):
        raise UsageError(f"no test example is {where}" if where is not None else "the test has no examples")
    return rows
