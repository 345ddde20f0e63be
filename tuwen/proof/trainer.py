"""Training: phases of steps, the same bytes for the same seed, resumable at any step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tuwen.errors import TuwenError, UsageError
from tuwen.models.checkpoint import first_line
from tuwen.models.columns import Columns
from tuwen.models.contrastive import deterministic
from tuwen.models.features import Batch
from tuwen.models.network import Network
from tuwen.parts import name_of
from tuwen.proof.method import Method, Objective, Phase, Sampler, View
from tuwen.proof.parallel import ALONE, Parallel
from tuwen.proof.sealed import is_whole, seal_file
from tuwen.proof.trained import Trained
from tuwen.samplers.shuffled import Shuffled

WARM_UP = 0.1  # share of the steps
LARGEST_GRADIENT = 1.0
Precision = Literal["float32", "bf16"]
OnStep = Callable[[int, int, dict[str, float]], None]


def train(
    method: Method,
    columns: Columns,
    *,
    samples: int,
    batch_size: int,
    seed: int,
    tokenizer: Any = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    every: int = 200,
    on_step: OnStep = lambda step, steps, losses: None,
    network: Network | None = None,
    precision: Precision = "float32",
    parallel: Parallel = ALONE,
    codebook_images: NDArray[np.uint8] | None = None,
    first_steps: int | None = None,
) -> Trained:
    """A model of `method` that has seen so many `samples`, in batches, by AdamW with warm-up and cosine in each phase.

    Equal arguments and versions give equal weights to the last bit, on one kind of CPU. `checkpoint`: a file that is
    written `every` so many steps; where it is there, training goes on from it, to the same weights. Who is done with it
    removes it. `on_step` gets the number of each step, from 1, that of all, and the named losses.

    `network`: one to train further, instead of a new one. `precision`: bf16 for what autocast computes in it; weights
    stay float32. `parallel`: this process among several that train together.
    `codebook_images`: (N, side, side, 3), those that the codes of images are learnt from, instead of training images.
    `first_steps`: each phase ends after so many of its steps, which are as they are in the whole training.
    """
    with deterministic(seed):
        if network is None:
            network = method.network(tokenizer or method.architecture.tokenizer(columns.texts))
            if (codes := method.architecture.codes) is not None and network.codebook is not None:
                if codebook_images is None:
                    rows = np.random.default_rng(seed).permutation(columns.num_rows)[: codes.num_images]
                    codebook_images = columns.take(rows)["image"]
                network.codebook.fit(codebook_images, seed)
        network = network.to(device)
        run = _Run(method, network, columns, samples, batch_size, seed, checkpoint, every, on_step, precision, parallel)
        return Trained(run.finish(first_steps))


class _Run:
    """One training. State of its own: network, modules of objectives, and the step."""

    def __init__(
        self,
        method: Method,
        network: Network,
        columns: Columns,
        samples: int,
        batch_size: int,
        seed: int,
        checkpoint: Path | None,
        every: int,
        on_step: OnStep,
        precision: Precision,
        parallel: Parallel,
    ) -> None:
        self.network, self.columns, self.seed = network, columns, seed
        self.precision, self.parallel = precision, parallel
        self.batch_size = min(batch_size, columns.num_rows)
        if not self.batch_size:
            raise UsageError("no examples to train on")
        self.steps = max(1, samples // self.batch_size)
        self.phases = list(zip(method.phases, method.spans(self.steps), strict=True))
        self.checkpoint, self.every, self.on_step = checkpoint, every, on_step
        self.step = 0

    def finish(self, first_steps: int | None = None) -> Network:
        saved = self._saved()
        for number, (phase, (first, last)) in enumerate(self.phases):
            for adaptation in phase.adaptations:  # also of a phase that is over: weights have other shapes after it
                self.network = adaptation(Trained(self.network)).network
            if saved is not None and saved["phase"] > number:
                continue
            stop = last if first_steps is None else min(first + first_steps, last)
            self._train(number, phase, first, last, stop, saved if saved and saved["phase"] == number else None)
        return self.network.eval()

    def _train(self, number: int, phase: Phase, first: int, last: int, stop: int, saved: dict[str, Any] | None) -> None:
        torch.manual_seed(self.seed + number)  # a phase that is resumed draws what it would have drawn
        own = _modules(phase, self.network)
        state = nn.ModuleList([self.network, *own.values()])
        views = [_prepared(view, self.columns, self.seed) for view in phase.views]
        optimizer = _optimizer(phase, self.network, own)
        average = _Average(state, phase.averaged) if phase.averaged else None
        start = first
        if saved is not None:
            state.load_state_dict(saved["state"])
            optimizer.load_state_dict(saved["optimizer"])
            if average is not None:
                average.load(saved["average"])
            start = saved["step"]
        self.network.train()
        order = _checked(phase.sampler or Shuffled(), self.columns, self.batch_size, self.seed)
        rows = map(self.parallel.part, islice(order, start - first, stop - first))
        for step, batch in enumerate(self.columns.batches(rows), start=start):
            seeds = [self.seed, number, step]
            rng = np.random.default_rng(seeds)
            torch.manual_seed(int(rng.integers(1 << 62)))  # so that a resumed run draws the same
            batch = _viewed(views, batch, self.parallel.rng(rng, seeds))
            for group in optimizer.param_groups:
                group["lr"] = phase.learning_rate * _rate(step - first, last - first)
            self.step = step + 1
            losses = self._step(phase, own, batch, optimizer, step - first, last - first)
            if average is not None:
                average.update()
            self.on_step(self.step, self.steps, losses)
            is_due = self.step % self.every == 0 and self.step < self.steps and self.parallel.rank == 0
            if self.checkpoint is not None and is_due:
                values = average.values if average is not None else None
                parts = {"state": state.state_dict(), "optimizer": optimizer.state_dict(), "average": values}
                _write(self.checkpoint, {"phase": number, "step": self.step, **parts})
        if average is not None:
            average.apply()

    def _step(
        self, phase: Phase, own: dict[Objective, nn.Module], batch: Batch, optimizer: Any, step: int, steps: int
    ) -> dict[str, float]:
        features = self.parallel.features(batch, self.network, step, steps, own)
        losses: dict[str, torch.Tensor] = {}
        with torch.autocast(self.network.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            for objective in phase.objectives:
                new = objective(features)
                if twice := sorted(losses.keys() & new.keys()):
                    raise UsageError(f"two objectives of a phase give the loss {twice[0]!r}; leave one of them out")
                losses.update(new)
        total = sum(phase.weights.get(name, 1.0) * loss for name, loss in losses.items())
        if not losses or not isinstance(total, torch.Tensor):
            raise UsageError("the objectives of a phase give no loss")
        if step == 0 and (unknown := sorted(phase.weights.keys() - losses.keys())):
            raise UsageError(f"weights: no loss is called {unknown[0]!r}; there are: {', '.join(losses)}")
        self._check_finite({**losses, "their sum": total})
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        weights = [each for group in optimizer.param_groups for each in group["params"]]
        self.parallel.average(weights)
        self._check_finite({"the gradient": nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)})
        optimizer.step()
        for objective in phase.objectives:
            after = getattr(objective, "after_step", None)
            if after is not None:
                after(own.get(objective), self.network)
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _check_finite(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            if not bool(torch.isfinite(value)):
                raise TuwenError(
                    f"{name} is {float(value.detach())} at step {self.step} of {self.steps}: training came apart; take "
                    "a lower learning_rate"
                )

    def _saved(self) -> dict[str, Any] | None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        if not is_whole(self.checkpoint):
            raise TuwenError(
                f"the checkpoint {self.checkpoint} is damaged: its bytes are not those that were written. Delete it, "
                "and the same command trains from the beginning"
            )
        return torch.load(self.checkpoint, map_location=self.network.device, weights_only=True)  # type: ignore[no-any-return]


class _Average:
    """A running mean of weights, which single steps and wrong examples move less.

    The first means are over few steps: the beginning is soon forgotten.
    """

    def __init__(self, state: nn.Module, kept: float) -> None:
        self._parameters = list(state.parameters())
        self._kept = kept
        self._number = 0
        self._means = [each.detach().clone() for each in self._parameters]

    def update(self) -> None:
        kept = min(self._kept, (1 + self._number) / (10 + self._number))
        self._number += 1
        with torch.no_grad():
            torch._foreach_lerp_(self._means, [each.detach() for each in self._parameters], 1 - kept)

    def apply(self) -> None:
        with torch.no_grad():
            for parameter, mean in zip(self._parameters, self._means, strict=True):
                parameter.copy_(mean)

    @property
    def values(self) -> dict[str, Any]:
        return {"number": self._number, "means": self._means}

    def load(self, values: dict[str, Any]) -> None:
        self._number, self._means = values["number"], values["means"]


def _checked(sampler: Sampler, columns: Columns, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """A sampler's batches; `UsageError` where they are not what the budget allows, or come to an end."""
    name, number = name_of(sampler), 0
    for given in sampler(columns, batch_size, seed):
        rows, number = np.asarray(given), number + 1
        if rows.ndim != 1 or not 0 < len(rows) <= batch_size:
            raise UsageError(
                f"the sampler {name} gives a batch of the shape {rows.shape}; the budget has batches of {batch_size}"
            )
        if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= columns.num_rows:
            raise UsageError(f"the sampler {name} gives rows that are none of the {columns.num_rows:,} examples")
        yield rows
    raise UsageError(f"the sampler {name} stops after {number:,} batches; it has to give batches without end")


def _modules(phase: Phase, network: Network) -> dict[Objective, nn.Module]:
    made = {each: each.module(network) for each in phase.objectives if hasattr(each, "module")}
    return {objective: module.to(network.device) for objective, module in made.items()}


def _prepared(view: View, columns: Columns, seed: int) -> View:
    return view.prepare(columns, seed) if hasattr(view, "prepare") else view


def _viewed(views: list[View], batch: Batch, rng: np.random.Generator) -> Batch:
    for view in views:
        batch = view(batch, rng)
    return batch


def _optimizer(phase: Phase, network: Network, own: dict[Objective, nn.Module]) -> Any:
    """Vectors and numbers are not decayed."""
    weights = [each for name, each in network.named_parameters() if not phase.trained or name.startswith(phase.trained)]
    weights += [each for module in own.values() for each in module.parameters() if each.requires_grad]
    if not weights:
        raise UsageError(f"trained: {list(phase.trained)} begins the name of no weight")
    groups = [
        {"params": [each for each in weights if each.ndim > 1], "weight_decay": phase.weight_decay},
        {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=phase.learning_rate, betas=(0.9, 0.98))


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _write(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    try:
        torch.save(state, new)
        seal_file(new)
        new.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer says the second
        new.unlink(missing_ok=True)
        raise TuwenError(
            f"the checkpoint {path} cannot be written, as if the disk was full ({first_line(error)}); the one before "
            "is kept: free some space, and the same command goes on from it"
        ) from error
