"""Match 500,000 entries against captions, beside two Aho-Corasick automata; run by `make bench NAME=concepts`.

    python3 -m venv .venv-concepts && .venv-concepts/bin/pip install pyahocorasick==2.3.1 ahocorasick-rs==1.0.3

The generator is frozen: 120,000 random words, pairs of them up to 500,000 entries, captions of 5 to 20 words of which a
third end in an entry. Every way runs in a process of its own, in turn, three times; the best round counts. All give
the number of the caption and of the entry for each distinct match, and have to agree:

- tuwen: `Matcher` over an index that lies in a file, as a worker of a build has it
- MetaCLIP's way: pyahocorasick over " entry ", one call a caption, punctuation padded with spaces
- ahocorasick-rs, the same, one call a caption; and one call for 512 captions joined

CPU seconds are those of matching, captions at hand as Python strings. Memory is the peak of the whole process (VmHWM),
interpreter, libraries, captions and entries included; what the process has before the entries come is printed too.
The last lines compare with the goals.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-concepts" / "bin" / "python"
NUM_ENTRIES, NUM_WORDS, NUM_CAPTIONS = 500_000, 120_000, 20_000
ROUNDS = 3
GOAL_SPEED, GOAL_MB = 100_000.0, 170.0
BATCH, JOINED = 4_096, 512
WAYS = ("tuwen", "stage", "metaclip", "ahocorasick_rs", "ahocorasick_rs_joined")


def generated(folder: Path) -> None:
    """entries.txt and captions.txt."""
    rng = random.Random(20_26)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(NUM_WORDS)]
    entries = dict.fromkeys(words)
    while len(entries) < NUM_ENTRIES:
        entries[" ".join(rng.choices(words, k=2))] = None
    listed = list(entries)
    ends = (".", "", None)
    captions = []
    for _ in range(NUM_CAPTIONS):
        end = rng.choice(ends)
        text = " ".join(rng.choices(words, k=rng.randint(5, 20)))
        captions.append(text + (f", {rng.choice(listed)}" if end is None else end))
    (folder / "entries.txt").write_text("\n".join(listed) + "\n")
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")


def peak_mb() -> float:
    """Peak memory of this process in MB; ru_maxrss would count what it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def padded(text: str) -> str:
    """As MetaCLIP pads: punctuation stands alone between spaces."""
    for mark in ",.;:?!`":
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return f" {' '.join(text.split())} "


def index_of(folder: Path) -> None:
    """The index in a file, made by the same function that the stage calls."""
    import pyarrow as pa

    from tuwen.stages.concepts.match import Match

    started = time.process_time()
    index = Match(entries=str(folder / "entries.txt")).prepare(None)  # type: ignore[arg-type]
    with pa.ipc.new_file(str(folder / "index.arrow"), index.schema) as writer:
        writer.write_table(index)
    print(json.dumps({"cpu_s": time.process_time() - started, "mb": peak_mb(), "index_mb": index.nbytes / 1e6}))


def measured(way: str, folder: Path) -> None:
    """One way, in this process alone: prints a JSON object."""
    captions = (folder / "captions.txt").read_text().splitlines()
    match = READY[way](folder)
    base = BASE[0]
    started = time.process_time()
    pairs = match(captions)
    cpu_s = time.process_time() - started
    print(json.dumps({"cpu_s": cpu_s, "mb": peak_mb(), "base_mb": base, "pairs": pairs}))


BASE = [0.0]


def tuwen_matcher(folder: Path) -> Callable[[list[str]], int]:
    import numpy as np
    import pyarrow as pa

    from tuwen.stages.concepts.matcher import Matcher

    BASE[0] = peak_mb()
    matcher = Matcher(pa.ipc.open_file(pa.memory_map(str(folder / "index.arrow"))).read_all())
    matcher.mentions(["warm up"])

    def match(captions: list[str]) -> int:
        found = 0
        for start in range(0, len(captions), BATCH):
            rows, entries = matcher.mentions(captions[start : start + BATCH])
            assert rows.dtype == entries.dtype == np.int64
            found += len(rows)
        return found

    return match


def tuwen_stage(folder: Path) -> Callable[[list[str]], int]:
    """The stage as a build calls it: Arrow in, lists of names out."""
    import pyarrow as pa

    from tuwen.stages.concepts.match import Match

    BASE[0] = peak_mb()
    state = pa.ipc.open_file(pa.memory_map(str(folder / "index.arrow"))).read_all()
    stage = Match(entries=str(folder / "entries.txt"))
    stage(pa.record_batch({"text": ["warm up"]}), state)

    def match(captions: list[str]) -> int:
        found = 0
        for start in range(0, len(captions), BATCH):
            batch = pa.record_batch({"text": captions[start : start + BATCH]})
            found += len(stage(batch, state)["concepts"].flatten())
        return found

    return match


def metaclip(folder: Path) -> Callable[[list[str]], int]:
    import ahocorasick

    BASE[0] = peak_mb()
    automaton = ahocorasick.Automaton()
    with (folder / "entries.txt").open() as lines:
        for number, line in enumerate(lines):
            automaton.add_word(padded(line), number)
    automaton.make_automaton()
    return lambda captions: sum(len({number for _, number in automaton.iter(padded(text))}) for text in captions)


def rust_automaton(folder: Path) -> Callable[[list[str]], int]:
    import ahocorasick_rs

    BASE[0] = peak_mb()
    with (folder / "entries.txt").open() as lines:
        automaton = ahocorasick_rs.AhoCorasick(padded(line) for line in lines)

    def match(captions: list[str]) -> int:
        find = automaton.find_matches_as_indexes
        return sum(len({found[0] for found in find(padded(text), overlapping=True)}) for text in captions)

    return match


def rust_automaton_joined(folder: Path) -> Callable[[list[str]], int]:
    import ahocorasick_rs

    BASE[0] = peak_mb()
    with (folder / "entries.txt").open() as lines:
        automaton = ahocorasick_rs.AhoCorasick(padded(line) for line in lines)

    def match(captions: list[str]) -> int:
        from bisect import bisect

        total = 0
        for start in range(0, len(captions), JOINED):
            texts = [padded(text) for text in captions[start : start + JOINED]]
            ends, end = [], 0
            for text in texts:
                end += len(text) + 1
                ends.append(end)
            matches = automaton.find_matches_as_indexes("\n".join(texts), overlapping=True)
            total += len({(bisect(ends, first), entry) for entry, first, _ in matches})
        return total

    return match


READY = dict(zip(WAYS, (tuwen_matcher, tuwen_stage, metaclip, rust_automaton, rust_automaton_joined), strict=True))


def in_process(way: str, folder: str) -> dict[str, float] | None:
    """Figures of a process that runs one way; None where its environment is missing."""
    python = sys.executable if way in ("tuwen", "stage", "index") else str(PEERS)
    if not Path(python).exists():
        return None
    done = subprocess.run([python, __file__, way, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        generated(Path(folder))
        made = in_process("index", folder)
        assert made is not None
        print(f"{NUM_ENTRIES:,} entries, {NUM_CAPTIONS:,} captions; index of {made['index_mb']:.0f} MB made in")
        print(f"{made['cpu_s']:.1f} CPU-s and {made['mb']:.0f} MB, once for a build")
        rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way in WAYS:
                if found := in_process(way, folder):
                    rounds[way].append(found)
    for way, found in rounds.items():
        if not found:
            print(f"{way}: not measured; the first lines of {__file__} say how to install it")
            continue
        speeds = ", ".join(f"{NUM_CAPTIONS / each['cpu_s']:,.0f}" for each in found)
        memory, base = max(each["mb"] for each in found), max(each["base_mb"] for each in found)
        print(f"{way}: {speeds} captions/CPU-s; {memory:.0f} MB, {base:.0f} before the entries came")
    assert len({each["pairs"] for found in rounds.values() for each in found}) == 1, "the ways disagree"
    speed = max(NUM_CAPTIONS / each["cpu_s"] for each in rounds["tuwen"])
    memory = max(each["mb"] for each in rounds["tuwen"])
    print(f"concepts_memory: {memory:.0f} MB (goal {GOAL_MB:.0f}) {'ok' if memory <= GOAL_MB else 'short'}")
    reached = "ok" if speed >= GOAL_SPEED else "short"
    print(f"concepts_speed: {speed:,.0f} captions/CPU-s (goal {GOAL_SPEED:,.0f}) {reached}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        index_of(Path(sys.argv[2])) if sys.argv[1] == "index" else measured(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
