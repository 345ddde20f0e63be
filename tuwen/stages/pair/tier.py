"""Evidence of tiers: was this text written for this image, on an editorial page, or did it stand nearby?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# How directly a place of the page says what an image shows. A caption is written for readers beside the image, alt
# text in its stead; titles and labels name it; what surrounds it may speak of something else.
WRITTEN_FOR = {
    "caption": 1.0,
    "alt": 0.9,
    "title": 0.7,
    "aria_label": 0.6,
    "link": 0.4,
    "before": 0.35,
    "after": 0.35,
    "heading": 0.3,
    "page_title": 0.2,
}
OUTSIDE_MAIN = 0.2
FREE_RECURRENCES = 2  # an overview page may show a figure again


@dataclass(frozen=True)
class Tier:
    """How editorial an image-text pair is: five parts and their geometric mean, each 0 to 1.

    `tier_source`  how directly the text's source speaks of the image, caption 1 to page title 0.2
    `tier_text`    words up to `enough_words`, times the share that does not repeat; 0 for texts that look like a file
                   name, a URL or boilerplate
    `tier_place`   1 in the main part of the page, 0.2 outside, divided by the nodes from image to text
    `tier_page`    characters of the main part up to `enough_characters`, times their share of the page: prose, not
                   navigation
    `tier_image`   shorter side from `icon_side` (0) to `figure_side` (1), lowered by recurrence on pages of the host
    `editorial`    their geometric mean: 0 as soon as one part is 0

    Null where something that a part needs is unknown: the image was not found, or the text is generated. The
    distinction of strong and weak pairs is that of Yuan et al., "WuDaoMM: A large-scale multi-modal dataset for
    pre-training models", 2022. https://arxiv.org/abs/2203.11480

    **Differs from the paper:** it takes strong pairs from chosen sites and weak ones from elsewhere; here each pair
    carries numbers, and a selection draws the line.
    """

    enough_words: int = 6
    enough_characters: int = 1000
    icon_side: int = 32
    figure_side: int = 200

    table = "pairs"
    reads = (
        "text_source",
        "num_words",
        "repetition",
        "looks_like_filename",
        "looks_like_url",
        "looks_like_boilerplate",
        "text_distance",
        "in_main",
        "document.main_characters",
        "document.main_share",
        "image.width",
        "image.height",
        "image.host_pages",
        "image.host_share",
    )
    writes = pa.schema(
        [
            ("tier_source", pa.float32()),
            ("tier_text", pa.float32()),
            ("tier_place", pa.float32()),
            ("tier_page", pa.float32()),
            ("tier_image", pa.float32()),
            ("editorial", pa.float32()),
        ]
    )

    def __post_init__(self) -> None:
        if min(self.enough_words, self.enough_characters) < 1 or not 0 <= self.icon_side < self.figure_side:
            raise ValueError("enough_words and enough_characters must be positive, and icon_side below figure_side")

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        known = {name: _numbers(batch[name]) for name in self.reads if name != "text_source"}
        sources = batch["text_source"].to_pylist()
        parts = [
            np.array([WRITTEN_FOR.get(source, np.nan) for source in sources], dtype=float),
            self._text(known),
            self._place(known),
            self._page(known),
            self._image(known),
        ]
        columns = [*parts, np.prod(np.reshape(parts, (len(parts), -1)), axis=0) ** (1 / len(parts))]
        arrays = [pa.array(column, pa.float32(), mask=np.isnan(column)) for column in columns]
        return pa.record_batch(arrays, schema=self.writes)

    def _text(self, known: dict[str, Numbers]) -> Numbers:
        useless = known["looks_like_filename"] + known["looks_like_url"] + known["looks_like_boilerplate"]
        length = np.minimum(known["num_words"] / self.enough_words, 1)
        return np.where(useless > 0, 0, length * (1 - known["repetition"]) + 0 * useless)

    def _place(self, known: dict[str, Numbers]) -> Numbers:
        region = known["in_main"] * (1 - OUTSIDE_MAIN) + OUTSIDE_MAIN
        # A page title has no distance; its source says how little it is about the image.
        return region / np.fmax(known["text_distance"], 1)

    def _page(self, known: dict[str, Numbers]) -> Numbers:
        length = np.minimum(known["document.main_characters"] / self.enough_characters, 1)
        # A page without any text has no share.
        return length * np.where(length == 0, 0, known["document.main_share"])

    def _image(self, known: dict[str, Numbers]) -> Numbers:
        side = np.minimum(known["image.width"], known["image.height"])
        size = np.clip((side - self.icon_side) / (self.figure_side - self.icon_side), 0, 1)
        extra = np.maximum(known["image.host_pages"] - FREE_RECURRENCES, 0) * known["image.host_share"]
        return size / (1 + extra)


def _numbers(column: pa.Array) -> Numbers:
    """As floats, NaN for null; true is 1."""
    kind = pa.uint8() if pa.types.is_boolean(column.type) else column.type
    return np.asarray(column.cast(kind).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
