"""Lists of hashes whose pictures must not be stored: MD5 and SHA-256 of the bytes, perceptual hashes of the picture.

One hexadecimal hash a line, told apart by its length: 32 digits MD5, 64 SHA-256, 16 perceptual (64 bits, as the stage
`image.perceptual_hash` computes it). What follows a comma, semicolon or white space is not read; `#` begins a comment.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tuwen.errors import UsageError

_LINE = re.compile(rb"""\s*(?:"?([0-9A-Fa-f]+)"?\s*(?:[,;\s#].*)?)?""", re.DOTALL)
_COMMENT = re.compile(rb"\s*#")
_DIGEST_BYTES = {32: "md5", 64: "sha256", 16: "perceptual"}


class Blocklists:
    """All lists together. Takes 16 bytes for an MD5, 32 for a SHA-256 and 8 for a perceptual hash.

    Raises `UsageError` for a file that cannot be read or a line that is no hash.
    """

    def __init__(self, paths: Iterable[str], distance: int) -> None:
        """`distance`: the most bits in which two perceptual hashes of one picture differ."""
        found = {kind: bytearray() for kind in _DIGEST_BYTES.values()}
        for path in paths:
            _read(Path(path), found)
        # Fixed-width byte strings compare as if padded with zeros, so that equal means equal digests.
        self._md5 = np.frombuffer(found["md5"], dtype="S16")
        self._sha256 = np.frombuffer(found["sha256"], dtype="S32")
        for digests in (self._md5, self._sha256):
            digests.sort()  # in place, without a second copy
        self._perceptual = np.frombuffer(found["perceptual"], dtype=">u8").astype(np.uint64)
        self._distance = distance
        self.has_md5, self.has_perceptual = bool(len(self._md5)), bool(len(self._perceptual))

    def hold_sha256(self, digest: bytes) -> bool:
        """Whether a SHA-256 (32 bytes) is listed."""
        return _holds(self._sha256, digest)

    def hold_md5(self, digest: bytes) -> bool:
        """Whether an MD5 (16 bytes) is listed."""
        return _holds(self._md5, digest)

    def hold_picture(self, perceptual_hash: np.uint64) -> bool:
        """Whether a listed picture differs in few enough bits."""
        return bool((np.bitwise_count(self._perceptual ^ perceptual_hash) <= self._distance).any())


def _holds(digests: np.ndarray[Any, Any], digest: bytes) -> bool:
    if not len(digests):
        return False
    place = int(np.searchsorted(digests, np.bytes_(digest)))
    return digests[place : place + 1].tobytes() == digest


def _read(path: Path, found: dict[str, bytearray]) -> None:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if _COMMENT.match(line):
                    continue
                match = _LINE.fullmatch(line)
                digits = match[1] if match else b"?"
                if digits is None:
                    continue
                if len(digits) not in _DIGEST_BYTES:
                    shown = line.strip()[:80].decode("utf-8", "replace")
                    raise UsageError(
                        f"blocklist {path}, line {number}: {shown!r} is no hash; a line holds 32 (MD5), 64 (SHA-256) "
                        "or 16 (perceptual) hexadecimal digits, or begins with #"
                    )
                found[_DIGEST_BYTES[len(digits)]] += bytes.fromhex(digits.decode())
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read blocklist {path}: {error}; see fetch.blocklists") from error
