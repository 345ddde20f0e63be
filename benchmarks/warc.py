"""Iteration over WARC records before parsing: ours against bare FastWARC, by CPU time, in one run, interleaved.

    python benchmarks/warc.py [FILE.warc.gz] [--rounds N]

Both read every record of the file and the blocks of its responses. Ours also checks that every record is whole, holds
each back until the next one could be read, and verifies the last gzip member. Without a file, the crawl that ships
with tuwen is repeated to about 25,000 records.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from tuwen.sources import Report
from tuwen.sources.archive import records

GOAL = 0.8
DEMO = Path(__file__).parents[1] / "tuwen" / "demo" / "docs-crawl.warc.gz"


def bare(path: Path) -> int:
    """Records read by FastWARC alone, with the blocks of the responses."""
    count = 0
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False):
            count += 1
            if record.record_type == WarcRecordType.response:
                record.reader.read()
    return count


def ours(path: Path) -> int:
    """Records read by `tuwen.sources.archive.records`."""
    report = Report()
    for _ in records(path, report, max_bytes=64 << 20):
        pass
    assert report.error is None, report
    return report.num_records


def rate(read: Callable[[Path], int], path: Path) -> float:
    """Records per CPU-second."""
    start = time.process_time()
    count = read(path)
    return count / (time.process_time() - start)


def main() -> None:
    """Print the rates of every round, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file
        if path is None:
            path = Path(folder, "repeated.warc.gz")
            path.write_bytes(DEMO.read_bytes() * 22)
        assert ours(path) == bare(path)
        ratios = []
        for number in range(arguments.rounds):
            rates = [rate(read, path) for read in (bare, ours)]
            ratios.append(rates[1] / rates[0])
            print(
                f"round {number + 1}: bare {rates[0]:,.0f} ours {rates[1]:,.0f} records/CPU-s, ratio {ratios[-1]:.3f}"
            )
    figure = statistics.median(ratios)
    print(f"warc: {figure:.2f} (goal {GOAL}) {'ok' if figure >= GOAL else 'short'}")


if __name__ == "__main__":
    main()
