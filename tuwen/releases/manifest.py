"""The manifest: every file of a release with its size, digest and number of samples, sealed by a digest of its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from tuwen.errors import TuwenError

FORMAT = "tuwen-release"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ReleaseFile:
    """One file: size, SHA-256 (64 hexadecimal digits) and, for shards, how many samples (rows) it holds."""

    num_bytes: int
    sha256: str
    num_samples: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What a release is, and all that is in it. `files` is keyed by path, with `/`, relative to the folder.

    `seal` is the SHA-256 of the manifest's own bytes without the seal, so that the manifest cannot change unseen
    either. It proves integrity, not authorship.
    """

    tuwen_version: str
    writer: dict[str, Any]  # name, version, parameters
    selection: dict[str, Any]  # the definition, as in the recipe; `builds_on`: those of selections that it refers to
    counts: dict[
        str, Any
    ]  # rows kept by the selection, left out at release and why; samples in data/, images, texts, …
    corpus: dict[str, Any]  # fingerprint of the content: rows and a digest of the ids of each table
    decisions: dict[str, Any]  # what decisions.parquet holds: num_rows, salt, full ledger or not
    files: dict[str, ReleaseFile] = field(default_factory=dict)
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    supersedes: dict[str, Any] | None = None  # of a patch: seal and counts of the release that it is to replace

    @property
    def seal(self) -> str:
        """64 hexadecimal digits that no other release has."""
        return hashlib.sha256(canonical_json(self._content())).hexdigest()

    def to_bytes(self) -> bytes:
        """The one encoding of this manifest, sealed."""
        return canonical_json({**self._content(), "seal": self.seal}, indent=1)

    def _content(self) -> dict[str, Any]:
        """All fields; `supersedes` only in a patch: other manifests are what they were before there were patches."""
        content = asdict(self)
        if self.supersedes is None:
            del content["supersedes"]
        return content

    def _check_types(self) -> None:
        """Whoever writes a manifest can seal anything; `TypeError` where those who read it would stumble."""
        for name in ("writer", "selection", "counts", "corpus", "decisions"):
            if not isinstance(getattr(self, name), dict):
                raise TypeError(f"{name} is no object")
        for name, file in self.files.items():
            if type(file.num_bytes) is not int or not isinstance(file.sha256, str):
                raise TypeError(f"{name!r} has no size, or no checksum")

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest; `TuwenError` unless the bytes are exactly what `to_bytes` writes."""
        try:
            content = json.loads(data)
            seal = content.pop("seal")
            if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
                raise TuwenError(
                    f"{MANIFEST}: format {content['format']!r} version {content['format_version']!r}; this tuwen reads "
                    f"{FORMAT!r} version {FORMAT_VERSION}"
                )
            files = {name: ReleaseFile(**entry) for name, entry in content.pop("files").items()}
            manifest = cls(files=files, **content)
            manifest._check_types()
            faithful = manifest.to_bytes() == data
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TuwenError(f"{MANIFEST} is damaged: {type(error).__name__}: {error}") from error
        if not faithful:
            raise TuwenError(f"{MANIFEST} was changed after it was sealed (seal {seal!r})")
        return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a release folder; `TuwenError` where it is missing, damaged or changed."""
    try:
        return Manifest.from_bytes((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise TuwenError(f"{folder} is no release: cannot read {MANIFEST} ({error.strerror})") from error


def canonical_json(value: object, *, indent: int | None = None) -> bytes:
    """UTF-8 JSON with sorted keys: equal values give equal bytes.

    Numbers that JSON has no word for (NaN, infinities) become null, dates ISO 8601 in UTC.
    """
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(
        plain(value),
        ensure_ascii=False,
        sort_keys=True,
        allow_nan=False,
        indent=indent,
        separators=separators,
    )
    return (text + ("\n" if indent else "")).encode()


def plain(value: Any) -> Any:
    """`value` with nothing but what JSON knows."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:  # nearly all: a release has millions
        return value
    if kind is dict:
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return iso_time(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def iso_time(value: Any) -> str:
    """A UTC date and time as `2026-01-31T12:00:00Z`, with microseconds only where there are any."""
    return str(value.isoformat()).replace("+00:00", "Z")


def file_entry(path: Path, num_samples: int | None = None) -> ReleaseFile:
    """Size and digest of a file, read in pieces."""
    hasher = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            hasher.update(chunk)
            size += len(chunk)
    return ReleaseFile(size, hasher.hexdigest(), num_samples)
