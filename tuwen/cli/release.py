"""`tuwen release DIR --selection NAME --to OUT`"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from tuwen.errors import UsageError

FORMATS = ("webdataset", "parquet", "documents", "text", "index", "ids")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--selection", required=True, metavar="NAME", help="a selection of the recipe")
    parser.add_argument("--to", required=True, metavar="OUT", help="new folder")
    parser.add_argument(
        "--format", default="webdataset", help=f"{', '.join(FORMATS)} (default: webdataset), or package.module:Class"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameter of the writer (reencode.short_side=256); may be repeated",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a release that is there")
    parser.add_argument(
        "--require-clean",
        action="store_true",
        help="refuse to release what overlaps with evaluation data or was not compared with any (stages overlap.*)",
    )
    parser.add_argument("--full-ledger", action="store_true", help="every decision with plain ids, for home use only")
    parser.add_argument("--allow-code", action="store_true", help="let names mean package.module:Class")
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Write the release and say what it holds."""
    from tuwen.corpus.corpus import Corpus
    from tuwen.releases.release import release

    manifest = release(
        Corpus.open(arguments.corpus),
        arguments.selection,
        arguments.to,
        arguments.format,
        parameters_from(arguments.set),
        overwrite=arguments.overwrite,
        full_ledger=arguments.full_ledger,
        allow_code=arguments.allow_code,
        require_clean=arguments.require_clean,
    )
    if arguments.json:
        print(manifest.to_bytes().decode(), end="")
    else:
        counts = ", ".join(f"{value} {name}" for name, value in manifest.counts.items() if isinstance(value, int))
        print(f"{arguments.to}: {counts}")
        print(f"Check it: tuwen verify {arguments.to}")
    return 0


def parameters_from(words: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` → {NAME: VALUE}; `NAME.PART=VALUE` sets a part of a parameter that has parts. Values are YAML."""
    import yaml

    parameters: dict[str, Any] = {}
    for word in words:
        path, separator, text = word.partition("=")
        *names, last = path.split(".")
        place: Any = parameters
        for name in names:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if not separator or not isinstance(place, dict):
            raise UsageError(f"--set takes NAME=VALUE or NAME.PART=VALUE, once each, got {word!r}")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {path}: {text!r} is not valid YAML: {error}") from error
    return parameters
