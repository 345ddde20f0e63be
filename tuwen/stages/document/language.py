"""Language of a page."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tuwen.stages.languages import declared_expectation, identify, model_hash
from tuwen.stages.nodes import flatten

PROSE = pa.array(["heading", "text", "list", "table", "quote", "caption", "transcript"])
ENOUGH = 200  # characters of the main part; a page with less is judged by all its text
CHARACTERS = 3000  # that are read of a page, about, and
BLOCK_CHARACTERS = 200  # of one block, so that a long licence text or quotation does not speak for the page


@dataclass(frozen=True)
class Language:
    """Language that the main part of a page is written in, its script, and `language_confidence` in [0, 1].

    `language` is a primary subtag of BCP 47 (https://www.rfc-editor.org/rfc/rfc5646), always `zh` for Chinese, with
    `script` (ISO 15924) Hans, Hant, or Hani where no character tells; `und` where there are no letters. Code is left
    out unless the page has nothing else. What the page declares counts, but little: `lang="en"` stands on pages of
    every language. Null where `nodes` is. The method stands in `tuwen.stages.languages`: the script, then
    lid.176.ftz. https://arxiv.org/abs/1612.03651
    """

    table = "documents"
    reads = ("nodes", "declared_language")
    writes = pa.schema([("language", pa.string()), ("script", pa.string()), ("language_confidence", pa.float32())])

    def model_hash(self) -> str:
        """SHA-256 of the model file: part of the columns' freshness."""
        return model_hash()

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        nodes, rows = flatten(batch["nodes"])
        prose = pc.fill_null(pc.is_in(pc.struct_field(nodes, "kind"), PROSE), False)
        in_main = pc.fill_null(pc.equal(pc.struct_field(nodes, "region"), "main"), False)
        text = pc.struct_field(nodes, "text")
        main, page, everything = (
            _joined(text, rows, chosen, batch.num_rows)
            for chosen in (pc.and_(prose, in_main), prose, pc.is_valid(nodes))
        )
        texts = [a if len(a) >= ENOUGH else b or c for a, b, c in zip(main, page, everything, strict=True)]
        expected = [declared_expectation(tag) for tag in batch["declared_language"].to_pylist()]
        found = identify(texts, expected)
        unknown = pc.is_null(batch["nodes"]).to_numpy(zero_copy_only=False)
        arrays = [
            pa.array([one.language for one in found], pa.string(), mask=unknown),
            pa.array([one.script for one in found], pa.string(), mask=unknown),
            pa.array([one.confidence for one in found], pa.float32(), mask=unknown),
        ]
        return pa.record_batch(arrays, schema=self.writes)


def _joined(text: pa.Array, rows: pa.Array, chosen: pa.Array, num_rows: int) -> list[str]:
    """The chosen texts of each row, one per line, each cut; of a long page every k-th, so that all parts are heard."""
    chosen = pc.and_(chosen, pc.is_valid(text))
    blocks: list[list[str]] = [[] for _ in range(num_rows)]
    cut = pc.utf8_slice_codeunits(text.filter(chosen), 0, BLOCK_CHARACTERS)
    for row, block in zip(rows.filter(chosen).to_pylist(), cut.to_pylist(), strict=True):
        blocks[row].append(block)
    return ["\n".join(found[:: 1 + sum(map(len, found)) // CHARACTERS]) for found in blocks]
