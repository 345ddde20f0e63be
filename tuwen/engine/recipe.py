"""Recipes: one YAML file that names sources, stages and selections. Validated whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from tuwen import parts
from tuwen.engine.unique_keys import load_yaml
from tuwen.errors import UsageError
from tuwen.fetching.outcomes import check_class
from tuwen.fetching.settings import FETCHED, Fetch
from tuwen.files import regular
from tuwen.selections.selection import Selection, parse_selections, selection_named
from tuwen.sources import Source
from tuwen.stages import Stage

KEYS = {"name", "description", "sources", "fetch", "stages", "selections"}
MOST_VALUES = 1_000_000
SECRET = re.compile(r"(^|_)(password|passwd|secret|token|api_?key|credentials?)$", re.IGNORECASE)


@dataclass(frozen=True)
class NamedSource:
    """A source and the name that its rows carry in the column `source`."""

    name: str
    source: Source


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. `mapping` is what was written, with overrides applied: plain values, safe to store."""

    name: str
    sources: tuple[NamedSource, ...]
    stages: tuple[Stage, ...]
    mapping: Mapping[str, Any] = field(default_factory=dict)
    fetch: Fetch | None = None
    """How to fetch the images that are referenced and not there; None: not at all."""

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = (), *, allow_code: bool = False) -> Recipe:
        """Read a YAML file, apply `path=value` overrides, validate. Relative paths inside mean the working folder."""
        try:
            mapping = load_yaml(regular(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read recipe {path}: {error}") from error
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that is none
            raise UsageError(f"{path} is not valid YAML: {error}") from error
        except RecursionError:
            raise UsageError(f"{path} is nested too deeply for a recipe") from None
        _check_unfolded(mapping, f"{path}")
        if not isinstance(mapping, dict):
            raise UsageError(f"{path} must hold a mapping with the keys {', '.join(sorted(KEYS))}")
        for override in overrides:
            override_value(mapping, override)
        return cls.from_mapping(mapping, allow_code=allow_code)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, allow_code: bool = False) -> Recipe:
        """Validate a recipe given as plain values; `UsageError` names the key and the rule it breaks."""
        for key in mapping:
            if key not in KEYS:
                raise UsageError(f"recipe: unknown key {key!r}; a recipe has {', '.join(sorted(KEYS))}")
        _refuse_secrets(mapping, "recipe")
        sources = _sources(mapping.get("sources") or [], allow_code)
        stages = tuple(
            parts.load("tuwen.stages", name, parameters, allow_code=allow_code)
            for name, parameters, _ in _entries(mapping.get("stages") or [], "stages")
        )
        for part in stages:
            if not isinstance(part, Stage) or not isinstance(part.writes, pa.Schema):
                raise UsageError(f"stages: {parts.name_of(part)} lacks table, reads, writes (a pa.Schema) or a call")
        names = [parts.name_of(stage) for stage in stages]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"stages: {name} is listed twice")
        selections = parse_selections(mapping.get("selections") or {}, allow_code=allow_code)
        fetch = _fetch(mapping["fetch"], selections) if mapping.get("fetch") is not None else None
        return cls(str(mapping.get("name") or "unnamed"), sources, stages, mapping, fetch)

    def retrying(self, outcomes: Iterable[str]) -> Recipe:
        """This recipe, for one build in which URLs that ended in these classes are asked for once more."""
        again = tuple(outcomes)
        if not again:
            return self
        if self.fetch is None:
            raise UsageError("--retry: the recipe has no section `fetch`, so nothing is fetched")
        for name in again:
            check_class(name, "--retry")
        return replace(self, fetch=replace(self.fetch, retry=(*self.fetch.retry, *again)))


def _sources(entries: object, allow_code: bool) -> tuple[NamedSource, ...]:
    sources = []
    for name, parameters, label in _entries(entries, "sources"):
        source = parts.load("tuwen.sources", name, parameters, allow_code=allow_code)
        if not isinstance(source, Source):
            raise UsageError(f"sources: {name} lacks version, units or read")
        sources.append(NamedSource(label or name, source))
    labels = [source.name for source in sources]
    if FETCHED in labels:
        raise UsageError(f"sources: {FETCHED!r} is the name of what the fetcher brings; give another with `as: NAME`")
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"sources: two are called {label!r}; give one a name of its own with `as: NAME`")
    return tuple(sources)


def _fetch(parameters: Mapping[str, Any], selections: Mapping[str, Selection]) -> Fetch:
    settings: Fetch = parts.configure(Fetch, "fetch", parameters)
    if settings.select is not None and selection_named(selections, settings.select).unit != "pair":
        raise UsageError(f"fetch.select: {settings.select!r} is no selection of pairs")
    return settings


def _entries(entries: object, where: str) -> list[tuple[str, Mapping[str, Any], str | None]]:
    """`name`, `{name: parameters}` or `{name: parameters, as: label}` → (name, parameters, label)."""
    if not isinstance(entries, list):
        raise UsageError(f"{where} must be a list, got {entries!r}")
    found: list[tuple[str, Mapping[str, Any], str | None]] = []
    for entry in entries:
        if isinstance(entry, str):
            found.append((entry, {}, None))
            continue
        named = {key: value for key, value in entry.items() if key != "as"} if isinstance(entry, dict) else {}
        if len(named) != 1:
            raise UsageError(f"{where}: expected `name` or `name: {{parameters}}`, got {entry!r}")
        ((name, parameters),) = named.items()
        if parameters is not None and not isinstance(parameters, dict):
            raise UsageError(f"{where}.{name}: parameters must be a mapping, got {parameters!r}")
        label = entry.get("as")
        if label is not None and not (isinstance(label, str) and label.isprintable()):
            raise UsageError(f"{where}.{name}: `as` must be a word, got {label!r}")
        found.append((str(name), parameters or {}, label))
    return found


def override_value(mapping: dict[str, Any], override: str) -> None:
    """Apply `path=value` in place. The value is YAML; the path goes through keys, list positions and entry names.

    `stages.text.language.short=10` finds the entry `text.language` of the list `stages`.
    """
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise UsageError(f"--set takes path=value, got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {path}: {text!r} is not valid YAML: {error}") from error
    if not _set(mapping, path, value):
        raise UsageError(f"--set {path}: the recipe has nothing there")


def _set(container: Any, path: str, value: Any) -> bool:
    if isinstance(container, list):
        return _set_in_list(container, path, value)
    if not isinstance(container, dict):
        return False
    for key in sorted(container, key=lambda key: -len(str(key))):
        if path.startswith(f"{key}."):
            if container[key] is None:
                container[key] = {}
            return _set(container[key], path[len(str(key)) + 1 :], value)
    if "." in path and path not in container:
        return False
    container[path] = value
    return True


def _set_in_list(items: list[Any], path: str, value: Any) -> bool:
    for index, item in enumerate(items):
        name = item if isinstance(item, str) else next((key for key in item if key != "as"), None)
        if path in (name, str(index)):
            items[index] = {name: value} if path == name else value
            return True
        if path.startswith(f"{index}."):
            return _set(item, path[len(str(index)) + 1 :], value)
        if name is not None and path.startswith(f"{name}."):
            if isinstance(item, str):
                items[index] = item = {name: {}}
            return _set(item, path, value)
    return False


def _check_unfolded(value: object, where: str) -> None:
    """Refuse YAML whose aliases unfold to a recipe without end, or as good as that."""
    waiting, count = [value], 0
    while waiting:
        value, count = waiting.pop(), count + 1
        if count > MOST_VALUES:
            raise UsageError(f"{where} unfolds to more than {MOST_VALUES} values; write lists into files of their own")
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def _refuse_secrets(value: object, where: str) -> None:
    """A recipe is copied into every release, so it must not hold secrets."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if SECRET.search(str(key)):
                raise UsageError(f"{where}.{key}: secrets do not belong in a recipe; set them in the environment")
            _refuse_secrets(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_secrets(inner, f"{where}[{index}]")
