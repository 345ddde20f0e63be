"""A whole build: CPU of a rebuild with nothing to do, and peak memory as the corpus grows tenfold.

    python benchmarks/build.py [--rows 100000]

Replays the pages of the shipped crawl under ever new hosts, as WARCs of 2,000 pages, until they give `--rows` pairs,
then ten times as many; every stage of the example recipe runs. Peak memory is that of the largest process.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

import tuwen

DEMO = Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz"
RECIPE = Path(tuwen.__file__).parent / "demo" / "docs-crawl.yaml"
PAGES_PER_WARC = 2_000


def demo_records() -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """(url, HTTP message) of pages and of images."""
    pages, images = [], []
    with DEMO.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=False):
            message = record.reader.read()
            url = record.headers["WARC-Target-URI"].strip("<>")
            head = message[:400].lower()
            if head.startswith((b"http/1.0 200", b"http/1.1 200")):
                (pages if b"text/html" in head else images).append((url, message))
    return pages, images


def record(url: str, message: bytes, number: int) -> bytes:
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>\r\n"
        f"WARC-Date: 2026-11-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(message)}\r\n\r\n"
    )
    return head.encode() + message + b"\r\n\r\n"


def write_crawl(folder: Path, num_pages: int) -> None:
    """WARCs with `num_pages` pages; each host repeats the demo's pages and images."""
    pages, images = demo_records()
    folder.mkdir(parents=True)
    buffer, written, number = io.BytesIO(), 0, 0

    def flush() -> None:
        if buffer.tell():
            with gzip.open(folder / f"{written:09d}.warc.gz", "wb", compresslevel=1) as stream:
                stream.write(buffer.getvalue())
            buffer.seek(0)
            buffer.truncate()

    while written < num_pages:
        host = f"{written:09d}."
        for url, message in [*images, *pages] if written == 0 else pages:
            number += 1
            buffer.write(record(url.replace("://", f"://{host}", 1), message, number))
        written += len(pages)
        if written % PAGES_PER_WARC < len(pages):
            flush()
    flush()


def build(crawl: Path, corpus: Path) -> tuple[float, float]:
    """(CPU seconds, peak MB of the largest process) of a build in a process of its own."""
    code = (
        "import json, resource, sys\n"
        "from tuwen.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "print(json.dumps([sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / 1024]))\n"
    )
    sources = f"sources=[{{warc: {{paths: ['{crawl}/*.warc.gz']}}}}]"
    command = [sys.executable, "-c", code, "build", str(RECIPE), "--corpus", str(corpus), "--set", sources]
    done = subprocess.run([*command, "--workers", "1"], stdout=subprocess.PIPE, text=True, check=True)
    cpu_s, peak_mb = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, peak_mb


def main() -> int:
    """Print raw figures, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="pairs of the small corpus")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder, peaks = Path(name), []
        from tuwen.corpus.corpus import Corpus

        write_crawl(folder / "probe", 40)
        build(folder / "probe", folder / "probe-corpus")
        pairs_per_page = Corpus.open(folder / "probe-corpus").count("pairs") / 40
        for size in (rows, 10 * rows):
            crawl, corpus = folder / f"crawl-{size}", folder / f"corpus-{size}"
            write_crawl(crawl, int(size / pairs_per_page))
            started = time.monotonic()
            cpu_s, peak_mb = build(crawl, corpus)
            num_pairs = Corpus.open(corpus).count("pairs")
            peaks.append(peak_mb)
            print(
                f"{num_pairs} pairs, {Corpus.open(corpus).count('documents')} pages: {cpu_s:.1f} CPU-s, "
                f"{time.monotonic() - started:.1f} s, peak {peak_mb:.0f} MB, {1e3 * cpu_s / num_pairs:.3f} CPU-ms/pair"
            )
        again_s, _ = build(crawl, corpus)
    growth = peaks[1] / peaks[0]
    print(f"rebuild with nothing to do at {num_pairs} pairs: {again_s:.2f} CPU-s")
    print(f"build-idle: {again_s:.2f} CPU-s (goal 2) {'ok' if again_s <= 2 else 'short'}")
    print(f"build-memory: {growth:.2f} (goal 1.2) {'ok' if growth < 1.2 else 'short'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
