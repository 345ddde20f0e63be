"""Copies of evaluation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tuwen.errors import UsageError
from tuwen.stages.image.pixels import decode
from tuwen.stages.overlap.benchmark import benchmark_files, content_hash
from tuwen.stages.overlap.benchmark_images import BenchmarkImages, images_state
from tuwen.stages.overlap.windows import SIDE, squares

if TYPE_CHECKING:
    from tuwen.corpus.corpus import Corpus
    from tuwen.stages.image.pixels import Decoded

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")


@dataclass(frozen=True)
class Images:
    """Which evaluation image an image is a copy of, however it was resized, compressed, turned grey or cropped.

    `evaluation_image`        path, in `folder`, of the benchmark's image that it is a copy of: the most similar one
                              with a similarity of at least `min_similarity`; null where there is none
    `evaluation_image_score`  similarity of the most similar candidate, 0 to 1; 0 without any
    `num_evaluation_images`   images in the folder that it was compared with

    All null where the image could not be decoded. An image that is a crop of the benchmark's, or of which the
    benchmark's is a crop (it has borders, say), is sought while the crop keeps 80 % of the area, at any place and in
    any aspect. Strips of text that were made very small are the hardest, and the same drawing under other words may be
    taken for a copy (docs/quality.md). Mirrored or turned images are not found. One of
    a single colour is a copy of nothing.

    `folder` is searched for image files, at any depth; one that does not decode is an error. 172 windows of each of
    its images are hashed, candidates come from a search in Hamming space, and the closest are compared at the best
    alignment. The state, memory-mapped, has about 20 KB for each image of the folder. Test images do leak into training
    sets, changed in such ways: Barz & Denzler, "Do we train on test data?", 2020. https://arxiv.org/abs/1902.00423

    **Differs from the paper:** pixels are compared, not features of a network, so that no model is needed.
    """

    table = "images"
    kind = "corpus"
    version = 2
    surveys = ()
    reads = ("bytes",)
    pixels = 128
    writes = pa.schema(
        [
            ("evaluation_image", pa.string()),
            ("evaluation_image_score", pa.float32()),
            ("num_evaluation_images", pa.int32()),
        ]
    )

    folder: str
    min_similarity: float = 0.87

    def __post_init__(self) -> None:
        if not 0 < self.min_similarity <= 1:
            raise ValueError(f"min_similarity must lie in (0, 1], got {self.min_similarity}")

    def model_hash(self) -> str:
        return content_hash(self.folder, SUFFIXES, "overlap.images")

    def prepare(self, corpus: Corpus) -> pa.Table:
        files = benchmark_files(self.folder, SUFFIXES, "overlap.images")
        found = np.zeros((len(files), SIDE, SIDE), dtype=np.uint8)
        telling = np.zeros(len(files), dtype=bool)
        for row, path in enumerate(files.values()):
            decoded = decode(path.read_bytes(), self.pixels)
            if decoded.error:
                raise UsageError(
                    f"overlap.images: {str(path)!r} does not decode ({decoded.error}); repair or remove it"
                )
            (found[row],), (telling[row],) = squares([decoded])
        return images_state(list(files), found, telling)

    def __call__(self, batch: pa.RecordBatch, pixels: list[Decoded], state: pa.Table) -> pa.RecordBatch:
        benchmark = BenchmarkImages(state) if state.num_rows else None
        rows: list[tuple[str | None, float | None, int | None]] = [(None, None, None)] * len(pixels)
        found, telling = squares(pixels)
        for row in np.flatnonzero([decoded.gray is not None for decoded in pixels]):
            name, score = benchmark.most_similar(found[row]) if benchmark and telling[row] else (None, 0.0)
            num_images = len(benchmark.names) if benchmark else 0
            rows[row] = (name if score >= self.min_similarity else None, score, num_images)
        columns = [[row[place] for row in rows] for place in range(3)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.writes, strict=True)]
        return pa.record_batch(arrays, schema=self.writes)
