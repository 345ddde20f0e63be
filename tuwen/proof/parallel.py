"""Data-parallel training: each process computes the features of its part of a batch, and all see those of the whole.

An objective reads gathered features, so every process computes the loss of the whole batch, whatever the objective is.
The gradient of a gathered feature flows into a process' own part, times the number of processes; the mean of all
processes' gradients is then that of the single process, for weights in towers (each process has a part of their
gradient) and for weights that objectives use themselves (each has all of it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.nn.functional import pad

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.sequences import TokenSequences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tuwen.models.network import Network


class Parallel:
    """This process as number `rank` of `processes`."""

    def __init__(self, rank: int = 0, processes: int = 1) -> None:
        self.rank, self.processes = rank, processes

    def part(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process' rows of a batch."""
        if len(rows) % self.processes:
            raise UsageError(f"a batch of {len(rows)} can't be shared out evenly to {self.processes} processes")
        size = len(rows) // self.processes
        return rows[self.rank * size : (self.rank + 1) * size]

    def rng(self, rng: np.random.Generator, seeds: Sequence[int]) -> np.random.Generator:
        """Of the views: the step's own in the first process, others in the others."""
        import numpy as np

        return np.random.default_rng([*seeds, self.rank]) if self.rank else rng

    def features(
        self, batch: Mapping[str, Any], network: Network, step: int, steps: int, own: Mapping[Any, Any]
    ) -> Features:
        """What objectives read."""
        if self.processes == 1:
            return Features(batch, network, step, steps, own)
        return _Gathered(self, Features(batch, network, step, steps, own))

    def average(self, parameters: Sequence[torch.Tensor]) -> None:
        """Gradients become their means over all processes. A weight that no process used has none."""
        if self.processes == 1:
            return
        is_used = torch.tensor([each.grad is not None for each in parameters], dtype=torch.int32)
        is_used = is_used.to(parameters[0].device)
        dist.all_reduce(is_used)
        used = [each for each, number in zip(parameters, is_used.tolist(), strict=True) if number]
        flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).flatten() for each in used])
        dist.all_reduce(flat)
        flat /= self.processes
        for each, mean in zip(used, torch.split(flat, [each.numel() for each in used]), strict=True):
            each.grad = mean.view_as(each).clone()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.processes > 1:
            dist.barrier()


ALONE = Parallel()


@contextmanager
def joined(device: str) -> Iterator[Parallel]:
    """The processes that `torchrun` started, by NCCL on GPUs and by gloo elsewhere; without it, this one."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        yield ALONE
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Parallel(dist.get_rank(), processes)
    finally:
        dist.destroy_process_group()


class _Gathered(Features):
    """Features of the whole batch. What an objective hands on is of the whole batch already, and what is computed from
    it is computed in every process."""

    def __init__(self, parallel: Parallel, local: Features) -> None:
        super().__init__({}, local.network, local.step, local.steps, local.own)
        self._parallel, self._local = parallel, local
        self._handed: set[str] = set()

    def _computed(self, name: str) -> Any:
        words = name.split(".")
        if any(".".join(words[:number]) in self._handed for number in range(1, len(words))):
            return super()._computed(name)
        return gathered(self._local[name], self._parallel, self.network.vocabulary.end)

    def __setitem__(self, name: str, value: Any) -> None:
        self._handed.add(name)
        super().__setitem__(name, value)

    def __contains__(self, name: str) -> bool:
        return super().__contains__(name) or name in self._local


def gathered(value: Any, parallel: Parallel, padding: int) -> Any:
    """The parts of all processes, one behind the other; numbers stay as they are. Parts of tokens are filled with
    `padding` on the right to a common length, parts of features with 0."""
    if isinstance(value, torch.Tensor):
        return _together(value, parallel, padding) if value.ndim else value
    if isinstance(value, TokenSequences):
        ids = _together(value.ids, parallel, padding)
        learnt = _together(value.learnt, parallel, 0)
        whole = _together(value.whole, parallel, 0)
        return TokenSequences(ids, learnt, value.images, value.image_row, value.image_start, whole)
    if isinstance(value, list):
        parts: list[Any] = [None] * parallel.processes
        dist.all_gather_object(parts, value)
        return [each for part in parts for each in part]
    return value


def _together(value: torch.Tensor, parallel: Parallel, padding: int) -> torch.Tensor:
    shape = torch.tensor(value.shape, device=value.device)
    shapes = [torch.empty_like(shape) for _ in range(parallel.processes)]
    dist.all_gather(shapes, shape)
    largest = torch.stack(shapes).amax(0).tolist()
    filler = padding if value.dtype == torch.int64 and value.ndim == 2 else 0
    missing = [(0, most - own) for most, own in zip(largest, value.shape, strict=True)]
    filled = pad(value, [each for pair in reversed(missing) for each in pair], value=filler).contiguous()
    sent = filled.detach().to(torch.uint8) if value.dtype == torch.bool else filled.detach()
    parts = [torch.empty_like(sent) for _ in shapes]
    dist.all_gather(parts, sent)
    whole = [part[: int(shape[0])].to(value.dtype) for part, shape in zip(parts, shapes, strict=True)]
    if value.requires_grad:
        whole[parallel.rank] = _scaled(filled[: len(value)], parallel.processes)
    return torch.cat(whole)


def _scaled(value: torch.Tensor, factor: int) -> torch.Tensor:
    """The same value, its gradient times `factor`."""
    return value.detach() + (value - value.detach()) * factor
