"""Examples of a world, drawn once and kept on disk.

A draw is a folder named by a digest of the world, its knobs, how much of it was drawn and how, and tuwen's code.
Columns that are arrays are `.npy` files, read from disk when somebody looks at them; lists are JSON. What comes back
equals what was drawn. Folders appear whole, by renaming, so that processes may draw the same at once; they can be
deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tuwen.models.columns import Columns
from tuwen.parts import name_of
from tuwen.proof.results import code_digest
from tuwen.proof.sealed import check_folder, seal_folder, writing

FORMAT = 3
OWN = "tuwen.proof.worlds."
ARRAY, PIECE = "$array", "$piece"  # stand for an array and a `Piece` in JSON


def drawn(world: Any, split: Literal["train", "test"], number: int, seed: int, cache: str | Path) -> Columns:
    """`world.train(number, seed)` or `world.test(number, seed)`, from the folder `cache` where it is there.

    Worlds from other code than tuwen's are drawn each time: nothing tells when they have changed. So are those that
    stay in their files (`is_streamed`).
    """
    draw = world.train if split == "train" else world.test
    if not type(world).__module__.startswith(OWN) or getattr(world, "is_streamed", False):
        return draw(number, seed)  # type: ignore[no-any-return]
    told = [FORMAT, name_of(world), repr(world), fingerprint(world), split, number, seed, code_digest()]
    folder = Path(cache) / "worlds" / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
    try:
        return read(folder)
    except Exception:  # it is not there, or damaged: numpy raises nearly every built-in exception
        shutil.rmtree(folder, ignore_errors=True)
    write(draw(number, seed), folder)
    return read(folder)


def fingerprint(world: Any) -> str:
    """Digest of the data that a world is made from, where it reads any."""
    return str(getattr(world, "fingerprint", ""))


def write(columns: Columns, folder: Path) -> None:
    """Columns as a folder, which is there in whole or not at all; `TuwenError` where it cannot be written."""
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _fill(new, columns)
            new.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was first
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _fill(new: Path, columns: Columns) -> None:
    plain = _Plain()
    told: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            np.save(new / f"{len(told)}.npy", values, allow_pickle=False)
        else:
            text = json.dumps(values, ensure_ascii=False, default=plain, check_circular=False)
            (new / f"{len(told)}.json").write_text(text, encoding="utf-8")
        told[name] = "npy" if isinstance(values, np.ndarray) else "json"
    for number, arrays in enumerate(plain.arrays.values()):
        np.save(new / f"arrays-{number}.npy", np.stack(arrays), allow_pickle=False)
    (new / "columns.json").write_text(json.dumps(told), encoding="utf-8")
    seal_folder(new)


def read(folder: Path) -> Columns:
    """The columns that were written; an error, where any byte is another."""
    check_folder(folder)
    told = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
    arrays: dict[int, NDArray[Any]] = {}

    def value_of(found: dict[str, Any]) -> Any:
        if ARRAY in found:
            group, number = found[ARRAY]
            if group not in arrays:
                arrays[group] = _mapped(folder / f"arrays-{group}.npy")
            return arrays[group][number]
        if PIECE in found:
            from tuwen.models.sequences import Piece

            return Piece(*found[PIECE])
        return found

    columns: dict[str, Any] = {}
    for number, (name, kind) in enumerate(told.items()):
        path = folder / f"{number}.{kind}"
        if kind == "npy":
            columns[name] = _mapped(path)
        else:
            columns[name] = json.loads(path.read_text(encoding="utf-8"), object_hook=value_of)
    return Columns(**columns)


def _mapped(path: Path) -> NDArray[Any]:
    """An array that lies in a file: copied on write, so that the file stays as it is."""
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))


class _Plain:
    """Puts arrays that lists hold aside, each once, by shape and type, and says where they are."""

    def __init__(self) -> None:
        self.arrays: dict[tuple[Any, ...], list[NDArray[Any]]] = {}
        self._known: dict[int, list[int]] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {ARRAY: self._place(value)}
        if isinstance(value, np.generic):
            raise TypeError(f"{value!r} in a list of a column would not be read back as it is; make it a plain number")
        return {PIECE: [value.value, value.learnt, value.coded]}

    def _place(self, array: NDArray[Any]) -> list[int]:
        if id(array) not in self._known:
            kind = (array.shape, array.dtype.str)
            group = list(self.arrays).index(kind) if kind in self.arrays else len(self.arrays)
            alike = self.arrays.setdefault(kind, [])
            alike.append(array)
            self._known[id(array)] = [group, len(alike) - 1]
        return self._known[id(array)]
