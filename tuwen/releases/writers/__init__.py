"""Release formats, one file each. A writer is a frozen dataclass whose fields are its parameters.

`version`      int. Raise it whenever the same rows give other bytes.
`units`        the selection units that it can release (pair, image, document).
`sample`       what a sample of `data/` is: image (the texts of one image together) or row (one per selected row).
`vectors`      optional, True: columns of vectors (embeddings) are released too. As JSON they would outweigh the rest.
`write`        writes shards below `folder` from `content` and returns {path: samples}; paths are relative, with `/`.
               The bytes may depend on nothing but the content and the writer's fields.
`check`        yields what is wrong with one written file; may raise on damaged bytes, which `verify` then reports.
`configs`      the `configs` of the Hugging Face dataset card: names and globs, the default first.
`features`     the features of the default configuration, as the hub writes them; empty where the shards say it.
`record_sets`  (distribution, record sets) of the Croissant file; see `tuwen.releases.croissant`.
`usage`        Markdown for the card: how to load, what a sample holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from tuwen.releases.content import Content
from tuwen.releases.problem import Problem

PACKAGE = "tuwen.releases.writers"


@runtime_checkable
class Writer(Protocol):
    """What every release format has. See the module's text."""

    version: ClassVar[int]
    units: ClassVar[tuple[str, ...]]
    sample: ClassVar[str]

    def write(self, content: Content, folder: Path) -> dict[str, int]: ...

    def check(self, folder: Path, shards: Mapping[str, int]) -> Iterator[Problem]: ...

    def configs(self) -> list[dict[str, str]]: ...

    def features(self, content: Content) -> list[dict[str, Any]]: ...

    def record_sets(self, folder: Path, shards: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]: ...

    def usage(self) -> str: ...
