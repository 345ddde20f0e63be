"""What objectives read: named tensors of one batch, each computed at most once, and only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuwen.models.network import Network

Batch = dict[str, Any]
"""Columns of some examples by name: images as uint8 (N, side, side, 3), texts as lists of N (or N × k) strings,
sequences as lists of N lists of `Piece`, anything else as an array of N values."""


class Features:
    """`features["text"]` is the column `text` of the batch as tensors, `features["text.embedding"]` what the network
    makes of it; any `COLUMN.KIND` of `Network.KINDS` will do. An objective hands on what it found by assigning a name.

    `step` of `steps`: where in its phase training is. `own`: modules of objectives, by objective.
    """

    def __init__(
        self,
        batch: Mapping[str, Any],
        network: Network,
        step: int = 0,
        steps: int = 1,
        own: Mapping[Any, Any] | None = None,
    ) -> None:
        self.network = network
        self.step, self.steps = step, steps
        self.own = own or {}
        self._batch = batch
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._computed(name)
        return self._known[name]

    def _computed(self, name: str) -> Any:
        if name in self._batch:
            return self.network.encoded(self._batch[name])
        column, _, kind = name.rpartition(".")
        return self.network.feature(column, kind, self)

    def __setitem__(self, name: str, value: Any) -> None:
        self._known[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._known or name in self._batch
