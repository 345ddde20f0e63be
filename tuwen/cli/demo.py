"""`tuwen demo`: the whole road on the crawl that ships with tuwen."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tuwen.cli import positive

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus

RELEASES = (
    ("strong", "webdataset"),
    ("weak", "parquet"),
    ("interleaved", "documents"),
    ("strong", "index"),
)
HELD = ("texts", "images", "documents")
DESCRIPTION = (
    "Documentation pages and emoji galleries, crawled from a local web server, in eight languages and scripts."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--to", default="demo", metavar="DIR", help="folder for corpus and releases (default: demo)")
    parser.add_argument("--workers", type=positive, metavar="N", help="worker processes (default: one per core)")


def run(arguments: argparse.Namespace) -> int:
    """Build, select, release, verify, ask why; then say what to try next."""
    from rich.console import Console

    import tuwen
    from tuwen.cli.build import print_built
    from tuwen.cli.funnel import print_funnel
    from tuwen.engine.recipe import Recipe
    from tuwen.releases.release import release
    from tuwen.releases.verify import verify
    from tuwen.selections.why import render, why

    console = Console()
    home, folder = Path(tuwen.__file__).parent / "demo", Path(arguments.to)
    crawl = home / "docs-crawl.warc.gz"
    console.rule(f"1. build: {crawl.name}, {crawl.stat().st_size / 1e6:.1f} MB of real pages, into {folder}/corpus")
    overrides = [f"sources=[{{warc: {{paths: ['{crawl}']}}}}]", "name=demo", f"description={DESCRIPTION}"]
    recipe = Recipe.load(home / "docs-crawl.yaml", overrides)
    built = tuwen.build(recipe, folder / "corpus", workers=arguments.workers or os.cpu_count() or 1)
    print_built(built, f"{folder}/corpus")
    corpus = tuwen.open(folder / "corpus")
    console.rule("2. select: nothing is deleted, every refusal is in the ledger")
    for name in ("figures", "strong", "weak", "interleaved"):
        print_funnel(tuwen.judge(corpus, name))
    console.rule("3. release and verify")
    problems = 0
    for name, format_name in RELEASES:
        out = folder / "releases" / (name if format_name != "index" else f"{name}-index")
        manifest = release(corpus, name, out, format_name, overwrite=True)
        found = verify(out)
        problems += len(found)
        held = ", ".join(f"{manifest.counts[what]} {what}" for what in HELD if manifest.counts.get(what))
        console.print(f"{out} ({format_name}): {held}; {found or 'verified'}", soft_wrap=True)
    kept, refused = examples(corpus)
    console.rule("4. ask why")
    console.print(render(why(corpus, refused), brief=True))
    print(next_commands(folder, kept, refused))
    return 1 if problems else 0


def examples(corpus: Corpus) -> tuple[str, str]:
    """An image of a strong pair, and one that `figures` refused: the first of each by id."""
    from tuwen.selections.ledger import Ledger

    figures, strong = (Ledger.open_or_judge(corpus, name) for name in ("figures", "strong"))
    pair_id = next(batch["id"][0].as_py() for batch in strong.kept() if batch.num_rows)
    kept = corpus.table("pairs", ["image_id"], f"pair_id = '{pair_id}'")["image_id"][0].as_py()
    shown = {batch_id for batch in figures.kept() for batch_id in batch["id"].to_pylist()}
    refused = min(set(corpus.table("images", ["image_id"])["image_id"].to_pylist()) - shown)
    return kept, refused


def next_commands(folder: Path, kept: str, refused: str) -> str:
    """What was made, and six commands to try, spelt so that they work from here."""
    import tuwen

    command = "tuwen" if shutil.which("tuwen") else sys.argv[0]
    recipe = Path(tuwen.__file__).parent / "demo" / "docs-crawl.yaml"
    here = Path("examples/docs-crawl.yaml")
    return f"""
Made: a corpus in {folder}/corpus and {len(RELEASES)} verified releases in {folder}/releases.
Each release has a README.md (its card), datasheet.md, croissant.json and decisions.parquet. Try next:

  {command} explore {folder}/corpus   # look at it in the browser
  {command} why {folder}/corpus {kept[:8]}   # why this image is in
  {command} why {folder}/corpus {refused[:8]}   # why that one is out
  {command} funnel {folder}/corpus --selection weak --rules   # what each rule refused
  {command} status {folder}/corpus   # tables, stages, what is out of date
  {command} build {here if here.exists() else recipe} --corpus mine --set 'sources=[{{warc: {{paths: [my.warc.gz]}}}}]'
"""
