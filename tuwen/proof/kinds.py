"""What a part of each kind has to offer, asked before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tuwen.errors import UsageError

KINDS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "objectives": ("an objective", {"__call__": ("features",)}),
    "views": ("a view", {"__call__": ("batch", "rng")}),
    "samplers": ("a sampler", {"__call__": ("columns", "batch_size", "seed")}),
    "adaptations": ("an adaptation", {"__call__": ("model",)}),
    "evaluations": ("an evaluation", {"items": ("model", "train", "test"), "statistic": ("items", "indices")}),
    "proof.curations": ("a curation", {"__call__": ("columns", "seed")}),
    "proof.worlds": ("a world", {"train": ("number", "seed"), "test": ("number", "seed")}),
    "proof.examples": ("a source of examples", {"load": ("folder", "side")}),
}
"""By package: what one is called, and its methods with what each is given, in this order."""


def check_kind(package: str, name: str, part: Any) -> None:
    """`UsageError` where `part`, called `name`, has not the methods of its kind, or these take something else."""
    kind, methods = KINDS[package]
    for method, given in methods.items():
        told = f"{'' if method == '__call__' else method}({', '.join(given)})"
        found = getattr(part, method, None)
        if not callable(found):
            raise UsageError(f"{name} is not {kind}: {kind} is a class with the method {method}, called as {told}")
        try:
            inspect.signature(found).bind(*given)
        except TypeError as error:
            raise UsageError(f"{name} is not {kind}: {method} is called as {told}, but {error}") from error
    if package == "objectives" and type(part).__hash__ is None:  # modules of objectives are found by objective
        raise UsageError(f"{name}: an objective has to be a frozen dataclass: @dataclass(frozen=True)")


@contextmanager
def within(place: str) -> Iterator[None]:
    """Errors of a request with the place that they are about, such as `arms.NAME`, before them."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error
