"""Language of a pair's text."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.stages.languages import Identified, expectation, identify, model_hash

Key = tuple[str, str | None, float | None]


@dataclass(frozen=True)
class Language:
    """Language of the text, its script, and `language_confidence` in [0, 1].

    `language` is a primary subtag of BCP 47 (https://www.rfc-editor.org/rfc/rfc5646), always `zh` for Chinese,
    with `script` (ISO 15924) Hans, Hant, or Hani where no character tells; `und` for a text without letters.
    The page's language helps where the text's own evidence is weak. The confidence of texts of fewer than 20 letters
    (Han characters, kana and other scripts than Latin count three) is lowered in proportion: an unsure `de` on a
    five-letter label means "probably German, for it stands on a German page". Null where the text is null.
    The method stands in `tuwen.stages.languages`: script, page, then lid.176.ftz. https://arxiv.org/abs/1612.03651
    """

    table = "pairs"
    reads = ("text", "document.language", "document.language_confidence")
    writes = pa.schema([("language", pa.string()), ("script", pa.string()), ("language_confidence", pa.float32())])

    def model_hash(self) -> str:
        """SHA-256 of the model file: part of the columns' freshness."""
        return model_hash()

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows: list[Key] = list(zip(*(batch[name].to_pylist() for name in self.reads), strict=True))
        # Titles and headings stand beside every image of a page: each (text, page language) is judged once.
        distinct = [key for key in dict.fromkeys(rows) if key[0] is not None]
        expected = [expectation(language, confidence or 0.0) for _, language, confidence in distinct]
        judged = dict(zip(distinct, identify([text for text, _, _ in distinct], expected), strict=True))
        found: list[Identified | None] = [judged.get(key) for key in rows]
        arrays = [
            pa.array([one and one.language for one in found], pa.string()),
            pa.array([one and one.script for one in found], pa.string()),
            pa.array([one and one.confidence for one in found], pa.float32()),
        ]
        return pa.record_batch(arrays, schema=self.writes)
