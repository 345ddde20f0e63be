"""What one arm reached with one seed, and how that is kept: by a digest of all that it depends on."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import tuwen
from tuwen.evaluations.measured import Items
from tuwen.models.columns import Columns
from tuwen.proof.sealed import check_folder, seal_folder, writing
from tuwen.proof.streamed import Streamed

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "pillow")
OUTSIDE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")  # a part as package.module:Class


@dataclass(frozen=True)
class Result:
    """What one arm reached with one seed, the losses on the way, and what it cost."""

    arm: str
    seed: int
    items: dict[str, Items]
    figures: dict[str, float]
    curve: list[dict[str, float]]
    train_cpu_s: float
    samples: int
    test_digest: str


def versions() -> dict[str, str]:
    """Of what trains and measures."""
    found = {"tuwen": tuwen.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Of tuwen's code and the versions of the libraries below it."""
    root = Path(tuwen.__file__).parent
    found = hashlib.sha256(json.dumps(versions()).encode())
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def outside_digest(told: Any) -> str:
    """Of the modules of parts that are not tuwen's. What these modules import is not looked at."""
    found = hashlib.sha256()
    for module in sorted(set(_modules(told))):
        spec = importlib.util.find_spec(module)
        code = Path(spec.origin).read_bytes() if spec and spec.origin else b""
        found.update(module.encode() + b"\0" + code)
    return found.hexdigest()


def _modules(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        if (named := OUTSIDE.fullmatch(told)) is not None:
            yield named[1]
    elif isinstance(told, Mapping):
        for key, value in told.items():
            yield from _modules(key)
            yield from _modules(value)
    elif isinstance(told, list | tuple):
        for value in told:
            yield from _modules(value)


def digest_of(columns: Columns | Mapping[str, Any]) -> str:
    """Of the images and texts of examples."""
    if isinstance(columns, Streamed):
        return columns.digest
    found = hashlib.sha256()
    for name, values in columns.items():
        found.update(name.encode())
        found.update(
            values.tobytes() if isinstance(values, np.ndarray) else json.dumps(values, default=_plain).encode()
        )
    return found.hexdigest()[:32]


def _plain(value: Any) -> Any:
    """Arrays in lists by their digest, numbers of numpy and pieces of sequences as JSON has them."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).hexdigest()
    return value.item() if isinstance(value, np.generic) else vars(value)


def write_result(folder: Path, result: Result) -> None:
    """A folder that appears whole, by renaming. Of two processes that come to the same, the first one's stays.
    `TuwenError` where it cannot be written."""
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    with writing(folder):
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            for name, items in result.items.items():
                arrays: dict[str, Any] = {f"value_{key}": each for key, each in items.values.items()}
                np.savez(new / f"{name}.npz", group=items.group, **arrays)
            told = {name: value for name, value in asdict(result).items() if name != "items"}
            (new / "result.json").write_text(json.dumps(told, sort_keys=True), encoding="utf-8")
            seal_folder(new)
            new.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)


def read_result(folder: Path, evaluations: Sequence[str]) -> Result | None:
    """What was kept; nothing where it is not there, or damaged, which is then removed."""
    if not folder.exists():
        return None
    try:
        check_folder(folder)
        told = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        items = {}
        for name in evaluations:
            with np.load(folder / f"{name}.npz") as found:
                values = {key.removeprefix("value_"): found[key] for key in found.files if key != "group"}
                items[name] = Items(values, found["group"])
        return Result(items=items, **told)
    except Exception:  # numpy and zipfile raise nearly every built-in exception on damaged files
        shutil.rmtree(folder, ignore_errors=True)
        return None
