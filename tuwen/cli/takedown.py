"""`tuwen takedown DIR --image|--url|--domain|--near VALUE`"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuwen.cli import plural, print_json, shown
from tuwen.errors import UsageError

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus
    from tuwen.releases.footprint import Footprint, TouchedRelease

LISTED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    what = parser.add_argument_group("what to take down (may be repeated; nothing: all that is recorded already)")
    for name, metavar, meaning in (
        ("image", "ID|FILE", "an image: its id, or a file with its bytes"),
        ("url", "URL", "the page or image at this address"),
        ("domain", "HOST", "everything at this host and below it"),
        ("near", "ID|FILE", "this image and all that look like it, now and later (stage image.perceptual_hash)"),
    ):
        what.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=meaning)
    parser.add_argument("--radius", type=int, default=6, metavar="BITS", help="of --near: bits of 64 (default: 6)")
    parser.add_argument("--reason", metavar="TEXT", help="kept with it, and shown by tuwen why")
    parser.add_argument("--dry-run", action="store_true", help="list what would be touched, and change nothing")
    parser.add_argument(
        "--releases", nargs="+", default=[], metavar="OUT", help="release folders: which shards hold anything of it"
    )
    parser.add_argument(
        "--patch-to", metavar="NEW", help="write the touched release anew without it; of several, each into NEW/NAME"
    )
    parser.add_argument("--allow-code", action="store_true", help="let names mean package.module:Class")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(arguments: argparse.Namespace) -> int:
    """List what is touched, record the takedown, write patches."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.corpus.tombstones import read_stones
    from tuwen.releases.footprint import footprint
    from tuwen.releases.takedown import stones_for, take_down

    if arguments.patch_to and not arguments.releases:
        raise UsageError("--patch-to writes a release of --releases anew; name it there")
    corpus = Corpus.open(arguments.corpus)
    named = (arguments.image, arguments.url, arguments.domain, arguments.near)
    stones = stones_for(corpus, *named, radius=arguments.radius) if any(named) else read_stones(corpus)
    if not stones:
        raise UsageError("nothing is taken down yet; name it with --image, --url, --domain or --near")
    touched = footprint(corpus, stones, arguments.releases)
    targets = _targets(touched.releases, arguments)
    recorded = [] if arguments.dry_run else take_down(corpus, stones, arguments.reason)
    patches = [] if arguments.dry_run else _patch(corpus, touched.releases, targets, arguments)
    if arguments.json:
        told = {"dry_run": arguments.dry_run, "stones": [asdict(stone) for stone in stones], "patches": patches}
        print_json({**touched.to_json(), **told, "recorded": [asdict(stone) for stone in recorded]})
        return 0
    _print(touched, arguments.releases)
    for patch in patches:
        print(f"{patch['patch']} replaces {patch['release']}. Check it: tuwen verify {patch['patch']}")
    if arguments.dry_run:
        print("Nothing was changed." + _next_steps(arguments))
        return 0
    print(f"{plural(len(recorded), 'takedown')} recorded." if recorded else "All of it was recorded before.")
    if touched.images.num or touched.pairs.num or touched.documents.num:
        print(f"What it names stays on the disk until: tuwen purge {arguments.corpus}")
    return 0


def _targets(releases: list[TouchedRelease], arguments: argparse.Namespace) -> list[Path]:
    """Where the patch of each release goes; refused before anything is recorded where two would go to one place."""
    from tuwen.releases.takedown import check_patch

    if not arguments.patch_to:
        return []
    new, several = Path(arguments.patch_to), len(arguments.releases) > 1
    targets = [new / Path(release.folder).resolve().name if several else new for release in releases]
    for place, (release, target) in enumerate(zip(releases, targets, strict=True)):
        if target in targets[:place]:
            other = releases[targets.index(target)].folder
            raise UsageError(f"patches of {other} and {release.folder} would both be {target}; patch them one by one")
        check_patch(target, release.seal)
    return targets


def _patch(
    corpus: Corpus, releases: list[TouchedRelease], targets: list[Path], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    from tuwen.releases.takedown import patch_release

    patches = []
    for release, to in zip(releases, targets, strict=False):  # no targets where no patch is asked for
        manifest = patch_release(corpus, release.folder, to, allow_code=arguments.allow_code)
        patches.append({"release": release.folder, "patch": str(to), "seal": manifest.seal, "supersedes": release.seal})
    return patches


def _next_steps(arguments: argparse.Namespace) -> str:
    """After a dry run."""
    steps = " The same command without --dry-run takes it down."
    if not arguments.releases:
        steps += (
            " With --releases OUT..., the folders of releases that are out, it lists the shards that hold any of it."
        )
    elif not arguments.patch_to:
        steps += " With --patch-to NEW it also writes the touched releases anew, without it."
    return steps


def _print(touched: Footprint, releases: list[str]) -> None:
    derived = f", {touched.derived.num} of them derived from others" if touched.derived.num else ""
    for rows, noun, more in (
        (touched.images, "image", ""),
        (touched.pairs, "pair", derived),
        (touched.documents, "document", ""),
    ):
        ids = ", ".join(rows.examples[:LISTED])
        dots = ", …" if rows.num > LISTED else ""
        print(f"{plural(rows.num, noun)}{more}{': ' if ids else ''}{ids}{dots}")
    if not (touched.images.num or touched.pairs.num or touched.documents.num or touched.num_fetches):
        print("Nothing here matches: look for a mistake in it. Once it is recorded, what matches never comes in.")
    if touched.num_showing:
        print(f"{plural(touched.num_showing, 'page')} that stay and show one of the images, from now on without it")
    if touched.num_fetches:
        print(f"{plural(touched.num_fetches, 'attempt')} at its URLs, which stay and hold neither bytes nor text")
    for what, counts in (("selection", touched.ledgers), ("join", touched.joins), ("index", touched.indexes)):
        for name, count in counts.items():
            told = f"loses {count:,} of {touched.kept[name]:,}" if what == "selection" else plural(count, "row")
            print(f"{what} {shown(name)}: {told}")
    for release in touched.releases:
        print(f"release {shown(release.folder)} ({release.format}): {plural(release.num_samples, 'sample')}")
        for shard, count in release.shards.items():
            keys = [key for name, key in release.samples if name == shard][:LISTED]
            print(f"  {shard}: {count}: {', '.join(map(shown, keys))}{', …' if count > len(keys) else ''}")
    for folder in releases:
        if folder not in {release.folder for release in touched.releases}:
            print(f"release {shown(folder)}: nothing of it")
