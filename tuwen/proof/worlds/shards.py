"""A real pool and a real test, in files that are larger than memory: images are decoded when a batch is taken."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tuwen.errors import UsageError
from tuwen.proof.method import part_of
from tuwen.proof.streamed import Streamed


@dataclass(frozen=True)
class Shards:
    """Examples of `pool` train, those of `test_set` test: parts of `tuwen.proof.examples`, such as
    `{webdataset: {paths: [pool]}}` and `{clip_benchmark: {folder: wds_imagenet1k}}`.

    Images become squares of `side` pixels, squeezed, or (`crop`) their middle cut out. Draws are without replacement;
    the test's is the same whatever the seed. Of a pool that holds fewer than what is asked for, all: pools lose images
    over the years. `work`: a folder for the index of each, made once; a run sets it to its cache. `workers`: processes
    that read and decode.
    """

    is_streamed: ClassVar[bool] = True
    pool: Any
    test_set: Any
    side: Annotated[int, Field(ge=16, le=1024)] = 224
    crop: bool = False
    work: str = ""
    workers: Annotated[int, Field(ge=1)] = 1

    def __post_init__(self) -> None:
        for told in (self.pool, self.test_set):
            part_of("proof.examples", told)

    def train(self, number: int, seed: int) -> Streamed:
        """So many examples of the pool; columns of `Streamed`."""
        return _drawn(self._loaded("pool"), number, seed)

    def test(self, number: int, seed: int) -> Streamed:
        """So many of the test set, those that decode; all of them are decoded for this."""
        return _drawn(self._loaded("test_set"), number, 0).sound()

    @property
    def fingerprint(self) -> str:
        """What both hold now, by every image and text."""
        return " | ".join(self._loaded(name).index.digest for name in ("pool", "test_set"))

    def at(self, work: Path, workers: int) -> Shards:
        """The same with a place for its indexes, and so many processes."""
        return replace(self, work=self.work or str(work), workers=workers)

    def _loaded(self, name: str) -> Streamed:
        told = getattr(self, name)
        part = part_of("proof.examples", told)
        if not self.work:
            raise UsageError("shards: the index of a pool needs a folder; say work: FOLDER")
        key = json.dumps([told, type(part).__module__], sort_keys=True, default=str)
        folder = Path(self.work) / hashlib.sha256(key.encode()).hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (folder / "lock").open("w") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)  # one process makes the index, the others wait and find it
                return part.load(folder, self.side, crop=self.crop, workers=self.workers)  # type: ignore[no-any-return]
        except UsageError as error:
            raise UsageError(f"{error}. This is {name} of the world shards; {_hint(name, told)}") from error


def _hint(name: str, told: Any) -> str:
    """How a claim's files are named on the command line."""
    if isinstance(told, Mapping):
        ((part, parameters),) = told.items()
        for key, value in parameters.items():
            if isinstance(value, str | list | tuple):
                example = "[DIR]" if not isinstance(value, str) else "DIR"
                return f"another place: --set 'world.shards.{name}.{part}.{key}={example}'"
    return f"say what it reads: --set 'world.shards.{name}={{webdataset: {{paths: [DIR]}}}}'"


def _drawn(columns: Streamed, number: int, seed: int) -> Streamed:
    if number >= columns.num_rows:
        return columns
    rows = np.random.default_rng([seed, columns.num_rows]).permutation(columns.num_rows)[:number]
    return columns.subset(np.sort(rows))
