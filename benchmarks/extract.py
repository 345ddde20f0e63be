"""Extraction against a bare selectolax walk: CPU time over replayed pages, interleaved in one run.

    python benchmarks/extract.py [WARC ...] [--pages 50000]

The bare walk parses a page with Lexbor and touches the tag and text of every node. Extraction is everything between
the bytes of a page and Arrow batches of `documents` and `pairs`. Pages come from the given WARC files (default: the
shipped crawl) and from a generator of page kinds that the shipped crawl lacks; they are replayed until there are
enough. The last line is `extract: RATIO (goal 5) ok|short`.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser

from tuwen.sources.extraction.page import extract
from tuwen.sources.extraction.rows import DocumentRows

GOAL = 5.0
FLUSH_BYTES = 32_000_000
ROUND = 500  # pages per turn: short enough that both sides see the same machine
DEFAULT = Path(__file__).parent.parent / "tuwen" / "demo" / "docs-crawl.warc.gz"

PageBytes = tuple[str, bytes]


def crawled(path: Path) -> Iterator[PageBytes]:
    """HTML responses of a WARC file."""
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            http = record.http_headers
            if http is not None and http.status_code == 200 and "html" in (record.http_content_type or ""):
                yield record.headers["WARC-Target-URI"].strip("<>"), record.reader.read()


def generated(number: int) -> Iterator[PageBytes]:
    """Articles, wikis, galleries, layout tables, code listings and link lists, the same in every run."""
    chance = random.Random(20)
    words = ["image", "text", "corpus", "page", "figure", "caption", "data", "model", "图像", "文本", "страница"]

    def prose(low: int, high: int) -> str:
        return " ".join(chance.choices(words, k=chance.randint(low, high)))

    def article() -> str:
        figure = (
            f'<figure><img src="i/{chance.random()}.jpg" alt="{prose(2, 6)}"><figcaption>{prose(4, 12)}</figcaption>'
        )
        return (
            f"<h2>{prose(2, 5)}</h2><p>{prose(40, 90)} <a href=x>{prose(1, 3)}</a> <em>{prose(3, 9)}</em></p>{figure}"
        )

    def thumb() -> str:
        return (
            f'<p>{prose(50, 90)}<sup class="reference"><a href="#n">[1]</a></sup></p><div class="thumb tright"><div'
            f' class="thumbinner"><a href="/f" class="image"><img src="//u/{chance.random()}.png"></a><div'
            f' class="thumbcaption">{prose(4, 9)}</div></div></div>'
        )

    def row() -> str:
        return f"<tr><td>{prose(1, 3)}</td><td><b>{prose(1, 2)}</b></td><td>{prose(3, 8)}</td></tr>"

    def code() -> str:
        line = "".join(f'<span class="n">{word}</span> ' for word in prose(3, 8).split())
        return f'<div class="highlight-python notranslate"><div class="highlight"><pre>{line}\n{line}</pre></div></div>'

    def link() -> str:
        return f'<li class="toctree-l1"><a class="reference internal" href="{chance.random()}">{prose(1, 4)}</a></li>'

    kinds: list[tuple[Callable[[], str], str, str]] = [
        (article, "<main>", "</main>"),
        (thumb, '<div id="content" class="mw-body">', "</div>"),
        (row, '<table class="wikitable"><tbody>', "</tbody></table>"),
        (code, '<div class="body">', "</div>"),
        (link, "<nav><ul>", "</ul></nav>"),
    ]
    for index in range(number):
        body = ""
        for _ in range(3):
            make, start, end = chance.choice(kinds)
            body += start + "".join(make() for _ in range(chance.randint(5, 40))) + end
        head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{prose(2, 6)}</title></head><body>'
        yield f"http://generated.test/{index}.html", f"{head}{body}</body></html>".encode()


def walk_bare(pages: list[PageBytes]) -> int:
    """The yardstick: parse, and touch every node's tag and text. Returns the number of nodes."""
    num_nodes = 0
    for _, body in pages:
        for node in LexborHTMLParser(body).root.traverse(include_text=True):
            num_nodes += 1
            if node.tag == "-text":
                _ = node.text_content
    return num_nodes


def extract_all(pages: list[PageBytes], rows: DocumentRows) -> int:
    """Pages → Arrow. Returns the number of rows."""
    num_rows = 0
    for number, (url, body) in enumerate(pages):
        rows.add(extract(body, url), url=url, captured_at=number, payload="0" * 32)
        if rows.num_bytes > FLUSH_BYTES:
            num_rows += sum(batch.num_rows for _, batch in rows.flush())
    return num_rows + sum(batch.num_rows for _, batch in rows.flush())


def profile(pages: list[PageBytes]) -> None:
    """Where the time of extraction goes, function by function."""
    profiler = cProfile.Profile()
    profiler.runcall(extract_all, pages, DocumentRows())
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warcs", nargs="*", type=Path, help=f"WARC files (default: {DEFAULT.name})")
    parser.add_argument("--pages", type=int, default=50_000)
    parser.add_argument("--no-profile", action="store_true")
    options = parser.parse_args()

    kinds = {path.name: list(crawled(path)) for path in options.warcs or [DEFAULT]}
    if not options.warcs:
        kinds["generated"] = list(generated(len(kinds[DEFAULT.name])))
    pages = [page for group in kinds.values() for page in group]
    size = sum(len(body) for _, body in pages) / len(pages)
    extract_all(pages[:50], DocumentRows())  # imports are not extraction

    bare = dict.fromkeys(kinds, 0.0)
    ours = dict(bare)
    num_pages = num_nodes = num_rows = 0
    while num_pages < options.pages:
        for name, group in kinds.items():
            turn = (group * (ROUND // len(group) + 1))[: min(ROUND, max(len(group), ROUND))]
            start = time.process_time()
            num_nodes += walk_bare(turn)
            middle = time.process_time()
            num_rows += extract_all(turn, DocumentRows())
            bare[name] += middle - start
            ours[name] += time.process_time() - middle
            num_pages += len(turn)
    print(f"{num_pages:,} pages of {size / 1000:.1f} KB, {num_nodes / num_pages:.0f} nodes; {num_rows:,} rows")
    for name in kinds:
        print(f"  {name}: {ours[name]:.2f} / {bare[name]:.2f} CPU s = {ours[name] / bare[name]:.2f}")
    print(f"bare walk {sum(bare.values()):.2f} CPU s, extraction {sum(ours.values()):.2f} CPU s")
    if not options.no_profile:
        profile(pages)
    ratio = sum(ours.values()) / sum(bare.values())
    print(f"extract: {ratio:.2f} (goal {GOAL:g}) {'ok' if ratio <= GOAL else 'short'}")


if __name__ == "__main__":
    main()
