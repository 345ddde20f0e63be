"""Selections that were saved beside the recipe: each a piece of a recipe in `selections/NAME.yaml` of the corpus.

They count as if the recipe had them: `tuwen funnel`, `why` and `release` know them. A name that the recipe has, or gets
later, is the recipe's. One that cannot be read, or builds on a selection that is gone, is left out with a warning, so
that it stops nothing else.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuwen.errors import TuwenError, UsageError
from tuwen.files import regular
from tuwen.selections.selection import Selection, check_relations

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

FOLDER = "selections"
MAX_BYTES = 100_000  # of a file: more is no selection that anybody wrote
LOG = logging.getLogger("tuwen.selections")


def recipe_text(selection: Selection) -> str:
    """A selection as the piece of a recipe (YAML) that defines it. Values that are the default are left out."""
    import yaml

    described = {"selections": {selection.name: selection.to_mapping(brief=True)}}
    return str(yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=100))


def save(corpus: Corpus, selection: Selection, known: Mapping[str, Selection], *, replace: bool = False) -> Path:
    """Write a selection into the corpus, all of it or nothing; returns its file.

    `known`: the selections that there are. `UsageError` where the name is the recipe's, where it is taken and `replace`
    is false, or where the selection does not fit with the others.
    """
    name = selection.name
    Selection.from_mapping(name, {"unit": selection.unit})  # is it a name?
    path = corpus.path / FOLDER / f"{name}.yaml"
    if name in (corpus.recipe().get("selections") or {}):
        raise UsageError(f"the recipe has a selection {name!r}; save this one by another name")
    taken = next((each for each in known if _same_file(each, name) and (each != name or not replace)), None)
    if taken is not None or (path.exists() and not replace):
        raise UsageError(f"there is a selection {taken or name!r} already; save this one by another name")
    check_relations({**known, name: selection}, selection)
    temporary = path.with_name(f".{name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(recipe_text(selection))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise TuwenError(
            f"{path} cannot be written: {error.strerror}; is the corpus on a disk for reading only?"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def forget(corpus: Corpus, name: str, known: Mapping[str, Selection]) -> None:
    """Delete a saved selection. `UsageError` where there is none, or where another one builds on it."""
    if name not in saved_names(corpus):
        raise UsageError(f"no selection {name!r} was saved in {corpus.path}; those of the recipe are changed there")
    for each in known.values():
        if name in each.others():
            raise UsageError(f"selection {each.name!r} builds on {name!r}; delete that one first")
    (corpus.path / FOLDER / f"{name}.yaml").unlink()


def saved_names(corpus: Corpus) -> list[str]:
    """Names of the files of saved selections that no selection of the recipe covers, sorted."""
    recipe = corpus.recipe().get("selections") or {}
    found = (path.stem for path in (corpus.path / FOLDER).glob("*.yaml") if not path.name.startswith("."))
    return sorted(name for name in found if name not in recipe)


def with_saved(corpus: Corpus, recipe: Mapping[str, Selection], *, allow_code: bool = False) -> dict[str, Selection]:
    """The recipe's selections and, behind them, the saved ones that are whole."""
    known = dict(recipe)
    waiting = dict(_read(corpus, allow_code))
    problems: dict[str, Exception] = {}
    while waiting:  # a saved one may build on another saved one, whatever their names
        fitting = []
        for name, selection in waiting.items():
            try:
                check_relations({**known, name: selection}, selection)
                fitting.append(name)
            except UsageError as error:
                problems[name] = error
        if not fitting:
            break
        known |= {name: waiting.pop(name) for name in fitting}
    for name in waiting:
        LOG.warning("%s is left out: %s", corpus.path / FOLDER / f"{name}.yaml", problems[name])
    return known


def _read(corpus: Corpus, allow_code: bool) -> Iterator[tuple[str, Selection]]:
    for name in saved_names(corpus):
        path = corpus.path / FOLDER / f"{name}.yaml"
        try:
            yield name, Selection.from_mapping(name, _definition(path, name), allow_code=allow_code)
        except (UsageError, OSError, ValueError, TypeError, RecursionError) as error:
            LOG.warning("%s is left out: %s", path, error)


def _definition(path: Path, name: str) -> Mapping[str, Any]:
    import yaml

    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"it has more than {MAX_BYTES} bytes")
    text = regular(path).read_text(encoding="utf-8")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UsageError("it repeats itself by aliases (*), which a few lines can do without end")
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"it is not valid YAML: {error}") from error
    definitions = content.get("selections") if isinstance(content, dict) else None
    if not isinstance(definitions, dict) or list(definitions) != [name]:
        raise UsageError(f"it does not define the one selection {name!r}, below `selections:`")
    return definitions[name]  # type: ignore[no-any-return]


def _same_file(one: str, other: str) -> bool:
    """Whether two names would be one file on some disk."""
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()
