"""Run as a script: `chaotic.py FOLDER build|release|takedown|merge STEP` does it and dies (SIGKILL) at that step.

A step is `NAME-N-before` or `NAME-N-after`: around the N-th call of what changes the disk. Without a step, the names
of all of them are printed. `recipe_for` and `SELECTIONS` are what the tests of chaos build.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from tiny import Length, Mean, NumPairs, PageLength, Pages, Parity, write_pages

from tuwen.corpus.corpus import Corpus
from tuwen.corpus.tables import digest, source_schema
from tuwen.engine.recipe import NamedSource, Recipe
from tuwen.engine.single import stage
from tuwen.sources import Report, Unit

SELECTIONS = {"long": {"unit": "pair", "steps": [{"rule": "length > 8"}]}}


@dataclass(frozen=True)
class Pictures(Pages):
    """With images that are some: a release holds them."""

    def read(self, unit: Unit, report: Report) -> Iterator[tuple[str, pa.RecordBatch]]:
        tables: dict[str, list[dict[str, Any]]] = {"images": [], "pairs": [], "documents": []}
        for page in json.loads(Path(unit.location).read_text()):
            report.num_records += 1
            document_id, data = digest(page["url"], 0, ""), picture(int(page["image"].split()[1]))
            tables["images"].append({"image_id": digest(data), "bytes": data})
            tables["documents"].append({"document_id": document_id, "url": page["url"], "nodes": []})
            for number, text in enumerate(page["texts"]):
                tables["pairs"].append(
                    {
                        "pair_id": digest(document_id, number, text),
                        "document_id": document_id,
                        "image_ref": f"data:sha256,{digest(data)}",
                        "position": 0,
                        "text": text,
                        "text_source": "alt",
                    }
                )
        for table, rows in tables.items():
            yield table, pa.RecordBatch.from_pylist(rows, schema=source_schema(table))


def picture(number: int) -> bytes:
    """A small PNG of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 99)).save(stream, "PNG")
    return stream.getvalue()


def make_pages(folder: Path, units: int = 3, pages: int = 8) -> None:
    (folder / "pages").mkdir(parents=True)
    for number in range(units):
        write_pages(folder / "pages", f"{number:03d}", range(pages * number, pages * (number + 1)))


def recipe_for(folder: Path, *more: Any) -> Recipe:
    own = (Parity(), Length(), NumPairs(), PageLength(), Mean(), *more)
    stages = (stage("pair.resolve"), stage("image.properties"), *own)
    sources = (NamedSource("pages", Pictures(str(folder / "pages"))),)
    return Recipe("t", sources, stages, {"name": "t", "selections": SELECTIONS})


class Steps:
    """Counts calls by name; kills at the one that is wanted."""

    def __init__(self, wanted: str | None) -> None:
        self.wanted, self.counts, self.names = wanted, Counter[str](), list[str]()

    def watch(self, owner: Any, attribute: str, name: str, *, static: bool = False) -> None:
        function: Callable[..., Any] = getattr(owner, attribute)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.counts[name] += 1
            number = self.counts[name]
            self._step(f"{name}-{number}-before")
            result = function(*arguments, **options)
            self._step(f"{name}-{number}-after")
            return result

        setattr(owner, attribute, staticmethod(watched) if static else watched)

    def _step(self, name: str) -> None:
        self.names.append(name)
        if name == self.wanted:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_build(steps: Steps) -> None:
    import lance

    import tuwen.corpus.columns as columns
    import tuwen.corpus.units as units
    import tuwen.engine.build as engine

    engine.COMMIT_EVERY_S = 0.0
    steps.watch(columns.ColumnWriter, "close", "column file")
    steps.watch(engine, "note_finished", "note of a finished file")
    steps.watch(engine, "forget_finished", "note that goes")
    steps.watch(lance.LanceDataset, "commit", "commit", static=True)
    steps.watch(engine, "declare_columns", "declaration")
    steps.watch(engine, "update_indexes", "index")
    steps.watch(engine, "tag_version", "tag")
    steps.watch(units.UnitAppender, "_seal", "seal")


def watch_release(steps: Steps) -> None:
    import tuwen.releases.release as releases
    from tuwen.releases.shards import TarShards

    steps.watch(TarShards, "close", "shard")
    steps.watch(releases, "write_decisions", "decisions")
    steps.watch(releases, "tag_version", "tag")
    steps.watch(Path, "write_bytes", "description")
    steps.watch(releases, "_sync", "sync")
    steps.watch(Path, "rename", "rename")
    steps.watch(shutil, "rmtree", "clearing")


def watch_takedown(steps: Steps) -> None:
    import lance

    import tuwen.releases.takedown as takedown

    watch_release(steps)
    steps.watch(lance, "write_dataset", "rows")
    steps.watch(takedown, "tag_version", "version")
    steps.watch(takedown, "add_stones", "stones")


def watch_merge(steps: Steps) -> None:
    import lance

    import tuwen.engine.merge as engine

    for name in ("recover", "replace_fragments", "append_rows", "write_json", "tag_version", "forget_versions"):
        steps.watch(engine, name, name)
    steps.watch(shutil, "copytree", "copy")
    steps.watch(shutil, "rmtree", "clearing")
    steps.watch(lance.LanceDataset, "commit", "commit", static=True)
    steps.watch(Path, "rename", "rename")


def take_down_and_patch(folder: Path) -> None:
    """The image of page 3, and the release in `out` without it."""
    from tuwen.releases.takedown import patch_release, stones_for, take_down

    corpus = Corpus.open(folder / "corpus")
    take_down(corpus, stones_for(corpus, images=[digest(picture(3))]), "asked for")
    if not (folder / "patch").exists():
        patch_release(corpus, folder / "out", folder / "patch", allow_code=True)


def main(folder: Path, what: str, wanted: str | None) -> None:
    steps = Steps(wanted)
    if what == "build":
        from tuwen.engine.build import build

        watch_build(steps)
        build(recipe_for(folder), folder / "corpus", quiet=True)
    elif what == "takedown":
        watch_takedown(steps)
        take_down_and_patch(folder)
    elif what == "merge":
        from tuwen.engine.merge import merge

        watch_merge(steps)
        merge(folder / "one", folder / "two", folder / "merged", allow_code=True)
    else:
        from tuwen.releases.release import release

        watch_release(steps)
        release(Corpus.open(folder / "corpus"), "long", folder / "out", "webdataset", overwrite=True)
    print(*steps.names, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
