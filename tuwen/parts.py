"""Names in recipes become parts: `text.language` is `tuwen.stages.text.language.Language`.

There is no registry. A part is a frozen dataclass whose fields are its configuration; a name is its module
path below the package of its kind, and the class is the module's last word in CamelCase. Code from elsewhere,
`package.module:Class`, is loaded only when the caller allows it.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from tuwen.errors import TuwenError, UsageError


def camel_case(name: str) -> str:
    """`perceptual_hash` → `PerceptualHash`."""
    return "".join(word.capitalize() for word in name.split("_"))


def names_in(package: str) -> list[str]:
    """Names of all parts below `package` (`tuwen.stages` → `image.properties`, …), sorted."""
    root = importlib.import_module(package)
    found = []
    for module in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
        if module.ispkg:
            continue
        part = getattr(importlib.import_module(module.name), camel_case(module.name.rsplit(".", 1)[-1]), None)
        if isinstance(part, type) and dataclasses.is_dataclass(part) and _is_frozen(part):
            found.append(module.name.removeprefix(f"{package}."))
    return sorted(found)


def load_class(package: str, name: str, *, allow_code: bool = False) -> type:
    """The class behind a name of a recipe.

    Raises `UsageError` for unknown names (with the nearest known one) and for `package.module:Class` unless
    `allow_code` is set: a recipe from a stranger must not run code.
    """
    if ":" in name:
        if not allow_code:
            raise UsageError(f"{name!r} would import code from outside tuwen; pass --allow-code if you trust it")
        module_name, _, class_name = name.partition(":")
        try:
            return _class(importlib.import_module(module_name), class_name)
        except TuwenError:
            raise
        except Exception as error:  # a module of somebody's own may raise anything while it is imported
            kind = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
            raise UsageError(f"cannot import {name!r}: {kind}{error}") from error
    module_name = f"{package}.{name}"
    leaf = name.rsplit(".", 1)[-1]
    if all(word.isidentifier() and not word.startswith("_") for word in name.split(".")):
        try:
            return _class(importlib.import_module(module_name), camel_case(leaf))
        except ModuleNotFoundError as error:
            # A missing dependency of an existing part is not an unknown name.
            if error.name is None or not module_name.startswith(error.name):
                raise
        except AttributeError:
            pass
    kind = package.rsplit(".", 1)[-1]
    raise UsageError(f"unknown name {name!r} in {kind}; {nearest(name, names_in(package))}")


def load(package: str, name: str, parameters: Mapping[str, Any] | None = None, *, allow_code: bool = False) -> Any:
    """An instance of the part `name`, its parameters validated and converted by the types of its fields."""
    return configure(load_class(package, name, allow_code=allow_code), name, parameters or {})


def configure(cls: type, name: str, parameters: Mapping[str, Any]) -> Any:
    """Validate `parameters` against the fields of dataclass `cls` and build it; `UsageError` says what is wrong."""
    if not isinstance(parameters, Mapping):
        raise UsageError(f"{name}: parameters must be a mapping, got {parameters!r}")
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    for key in parameters:
        if key not in fields:
            raise UsageError(f"{name}: unknown parameter {key!r}; {nearest(str(key), fields)}")
    try:
        return TypeAdapter(cls).validate_python(dict(parameters))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or name} = {problem['input']!r}: {problem['msg']}"
            for problem in error.errors()
        )
        raise UsageError(f"{name}: {problems}") from error
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:  # a type that YAML has no values of
        why = str(error).splitlines()[0]
        raise UsageError(f"{name}: a field has a type that cannot be read from YAML ({why})") from error


def name_of(part: object) -> str:
    """The name that a recipe uses for this part (the inverse of `load_class`).

    A part that no recipe can name, because each instance is one of its own, says its name in `part_name`.
    """
    if not isinstance(part, type) and (own := getattr(part, "part_name", None)):
        return str(own)
    cls = part if isinstance(part, type) else type(part)
    words = cls.__module__.split(".")
    if words[0] == "tuwen" and camel_case(words[-1]) == cls.__name__:
        return ".".join(words[2:])
    return f"{cls.__module__}:{cls.__name__}"


def parameters_of(part: Any) -> dict[str, Any]:
    """The part's configuration as plain values, every field included."""
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def _is_frozen(cls: Any) -> bool:
    """Parts are frozen dataclasses; a module may hold a class of its own name that is something else."""
    return bool(cls.__dataclass_params__.frozen)


def _class(module: Any, name: str) -> type:
    cls = getattr(module, name)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise UsageError(f"{module.__name__}:{name} is not a dataclass, so it cannot be configured by a recipe")
    return cls


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest of the known names, else the list of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
