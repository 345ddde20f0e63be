"""Parameters of a writer as words, the way `--set` takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tuwen.errors import UsageError


def parameters_from(words: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` → {NAME: VALUE}; `NAME.PART=VALUE` sets a part of a parameter that has parts. Values are YAML."""
    import yaml

    parameters: dict[str, Any] = {}
    for word in words:
        path, separator, text = word.partition("=")
        *names, last = path.split(".")
        place: Any = parameters
        for name in names:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if not separator or not isinstance(place, dict):
            raise UsageError(f"--set takes NAME=VALUE or NAME.PART=VALUE, once each, got {word!r}")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {path}: {text!r} is not valid YAML: {error}") from error
    return parameters
