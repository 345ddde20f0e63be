"""Fuzz one reader: `python tests/fuzzing/fuzz.py NAME SECONDS`.

With atheris, which follows coverage, where it is installed; else by mutating seeds. An input that breaks the reader is
kept in `regressions/`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from readers import READERS

KEPT = Path(__file__).parent / "regressions"
PIECES = (b"\x00", b"\xff", b"\r\n", b"<", b">", b"{", b"}", b"[", b"]", b'"', b"'", b"&x", b"*x", b":", b"-1", b"\x80")


def mutated(data: bytes, choice: random.Random) -> bytes:
    """One to eight changes: bytes flipped, cut out, doubled, or replaced by what readers trip over."""
    for _ in range(choice.randint(1, 8)):
        start = choice.randint(0, len(data))
        end = min(len(data), start + int(choice.paretovariate(0.7)))
        kind = choice.randrange(5)
        if kind == 0:
            data = data[:start] + bytes(choice.randrange(256) for _ in range(end - start)) + data[end:]
        elif kind == 1:
            data = data[:start] + data[end:]
        elif kind == 2:
            data = data[:end] + data[start:]
        elif kind == 3:
            data = data[:start] + choice.choice(PIECES) * choice.choice((1, 1, 1, 3, 200)) + data[end:]
        else:
            data = data[:start] + str(choice.choice((0, -1, 2**31, 2**63, 10**30))).encode() + data[end:]
    return data[: 1 << 16]


def main(name: str, seconds: float) -> int:
    """1 when something broke; tells what."""
    target = READERS[name]
    if importlib.util.find_spec("atheris"):
        import atheris

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", f"-artifact_prefix={KEPT}/{name}-"], target)
        atheris.Fuzz()
    choice, end, count, broken = random.Random(name), time.monotonic() + seconds, 0, set[str]()
    while time.monotonic() < end:
        data, count = mutated(choice.choice(target.seeds), choice), count + 1
        started = time.monotonic()
        try:
            target(data)
            slow = time.monotonic() - started > 10
            told = "takes more than 10 s" if slow else ""
        except Exception as error:
            told = "".join(traceback.format_exception(error, limit=-3))
        where = told.rsplit("  File ", 1)[-1].partition("\n")[0]
        if told and where not in broken:
            broken.add(where)
            path = KEPT / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{path}:\n{told}")
    print(f"{name}: {count} inputs, {len(broken)} ways to break it")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
