"""The pairs that a selection of a corpus keeps, as a release of it would hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuwen.corpus.corpus import Corpus as Tables
from tuwen.errors import UsageError
from tuwen.proof.index import IndexWriter, indexed
from tuwen.proof.streamed import Streamed
from tuwen.releases.content import open_content
from tuwen.releases.samples import samples
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import selection_named, selections_of


@dataclass(frozen=True)
class Corpus:
    """An example is an image with all texts that `selection` keeps for it, the best first. What was taken down, or must
    not be released, is left out.

    `columns`: our name → a column of images, or of an image's best pair; strings, empty where they are missing. Images
    are copied once into the run's folder.
    """

    corpus: str
    selection: str
    columns: dict[str, str] = field(default_factory=dict)

    def load(self, folder: Path, side: int, *, crop: bool = False, workers: int = 1) -> Streamed:
        """The examples, by image id."""
        corpus = Tables.open(self.corpus).pinned()
        selections = selections_of(corpus)
        chosen = selection_named(selections, self.selection)
        if chosen.unit != "pair":
            raise UsageError(f"selection {self.selection} keeps {chosen.table}; models are trained on pairs")
        ledger = Ledger.open_or_judge(corpus, chosen, selections)

        def fill(writer: IndexWriter) -> None:
            with open_content(corpus, ledger) as content:
                known = {column.name for column in content.exported}
                if missing := [theirs for theirs in self.columns.values() if theirs not in known]:
                    raise UsageError(f"the selection has no column {missing[0]!r}; it has {', '.join(sorted(known))}")
                for sample, data in samples(content):
                    self._add(sample, data, writer)

        key = ["corpus", str(Path(self.corpus).resolve()), ledger.fingerprint, corpus.version(), self.columns]
        index = indexed(folder, key, list(self.columns), fill)
        return Streamed(index, side, crop=crop, workers=workers)

    def _add(self, sample: dict[str, Any], data: bytes, writer: IndexWriter) -> None:
        texts = [each["text"] for each in sample["texts"] if (each["text"] or "").strip()]
        if not texts:
            writer.skipped["images without a text"] += 1
            return
        told = {**sample["texts"][0], **sample}
        more = {ours: "" if told[theirs] is None else str(told[theirs]) for ours, theirs in self.columns.items()}
        writer.add([{"name": sample["image_id"], "texts": texts, **writer.stored(data), **more}])
