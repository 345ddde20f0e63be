"""Fuzz one reader: `python tests/fuzzing/fuzz.py NAME SECONDS`.

With atheris, which follows coverage, where it is installed; else by mutating seeds. An input that breaks the reader is
kept in `regressions/`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

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


def follow_coverage(name: str, seconds: float) -> None:
    """From the seeds and what once broke the reader on; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tuwen"]):  # of all there is, it would take minutes
        from readers import READERS

        for seed in READERS[name].seeds:  # parts are imported when they are asked for
            READERS[name](seed)
    with tempfile.TemporaryDirectory() as folder:
        known = [*READERS[name].seeds, *(path.read_bytes() for path in KEPT.glob(f"{name}-*"))]
        for place, data in enumerate(known):
            (Path(folder) / str(place)).write_bytes(data)
        limits = [
            f"-max_total_time={int(seconds)}",
            "-verbosity=0",
            "-print_final_stats=1",
            "-max_len=65536",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={KEPT}/{name}-", folder], READERS[name])
        atheris.Fuzz()


def main(name: str, seconds: float) -> int:
    """1 when something broke; tells what."""
    if importlib.util.find_spec("atheris"):
        follow_coverage(name, seconds)
    from readers import READERS

    target = READERS[name]
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
