"""Sequences of texts, images and image codes, as one causal model reads them.

A caption is the sequence (image, text), a drawn image is (text, codes), an interleaved document is any order of texts
and images: one shape for captioning, image generation and documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    """A part of a sequence: a text, an image (uint8, (side, side, 3)) or codes of an image (int, (length,)).

    `learnt`: whether its tokens are to be predicted. Images are never predicted, only read. `coded`: the image goes in
    as the codes that the network's codebook gives it.
    """

    value: str | NDArray[Any]
    learnt: bool = True
    coded: bool = False

    @property
    def kind(self) -> str:
        """`text`, `image` or `codes`."""
        if isinstance(self.value, str):
            return "text"
        return "image" if self.value.ndim == 3 else "codes"


@dataclass(frozen=True)
class Vocabulary:
    """How tokens are numbered: texts as their tokenizer does, then the marks of images, then the codes."""

    tokenizer: Any
    num_codes: int = 0

    @property
    def start(self) -> int:
        """The token before every sequence."""
        return int(self.tokenizer.bos_token_id)

    @property
    def end(self) -> int:
        """The token behind every sequence, and the padding."""
        return int(self.tokenizer.eos_token_id)

    @property
    def image_start(self) -> int:
        """Stands before an image or its codes: the state that has read all before it and nothing of the image."""
        return len(self.tokenizer)

    @property
    def image_place(self) -> int:
        """Stands where a patch of an image goes."""
        return len(self.tokenizer) + 1

    @property
    def first_code(self) -> int:
        """Code c of an image is token `first_code + c`."""
        return len(self.tokenizer) + 2

    def __len__(self) -> int:
        return self.first_code + self.num_codes


@dataclass
class TokenSequences:
    """Sequences as tensors; N sequences of at most L tokens, M images in all.

    `ids` (N, L), `learnt` (N, L): true where the token is to be predicted from those before it. `images`: uint8 (M,
    side, side, 3); the patches of image m stand at `image_row[m]` from place `image_start[m] + 1` on, and its mark at
    `image_start[m]`. A piece that does not fit into `L` is left out with all that follow.
    """

    ids: torch.Tensor
    learnt: torch.Tensor
    images: NDArray[np.uint8]
    image_row: torch.Tensor
    image_start: torch.Tensor

    def to(self, device: str) -> TokenSequences:
        """The same on another device; images follow when they are read."""
        moved = [each.to(device) for each in (self.ids, self.learnt, self.image_row, self.image_start)]
        return TokenSequences(moved[0], moved[1], self.images, moved[2], moved[3])


def encode_sequences(
    sequences: Sequence[Sequence[Piece]],
    vocabulary: Vocabulary,
    *,
    num_patches: int,
    context: int,
    side: int,
    closed: bool = True,
) -> TokenSequences:
    """Tokens of sequences, padded on the right. `closed`: with the token that ends a sequence, which is learnt."""
    texts = [str(piece.value) for pieces in sequences for piece in pieces if piece.kind == "text"]
    known = vocabulary.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    tokens = iter(known)
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    images: list[NDArray[np.uint8]] = []
    places: list[tuple[int, int]] = []
    for number, pieces in enumerate(sequences):
        row, mark, full = [vocabulary.start], [False], False
        for piece in pieces:
            new, start = _tokens_of(piece, tokens, vocabulary, num_patches)
            if full or (piece.kind != "text" and len(row) + len(new) > context):
                full = True
                continue
            if piece.kind == "image":
                places.append((number, len(row)))
                images.append(np.asarray(piece.value))
            row += new
            mark += [False] * start + [piece.learnt and piece.kind != "image"] * (len(new) - start)
        if closed:
            row.append(vocabulary.end)
            mark.append(bool(pieces) and pieces[-1].learnt)
        rows.append(row[:context])
        marks.append(mark[:context])
    width = max(map(len, rows), default=1)
    ids = torch.full((len(rows), width), vocabulary.end)
    learnt = torch.zeros((len(rows), width), dtype=torch.bool)
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        learnt[number, : len(mark)] = torch.tensor(mark)
    stacked = np.stack(images) if images else np.zeros((0, side, side, 3), np.uint8)
    place = torch.tensor(places, dtype=torch.long).reshape(-1, 2)
    return TokenSequences(ids, learnt, stacked, place[:, 0], place[:, 1])


def _tokens_of(piece: Piece, texts: Any, vocabulary: Vocabulary, num_patches: int) -> tuple[list[int], int]:
    """The tokens of a piece, and how many of them are marks that nobody has to predict."""
    if piece.kind == "text":
        return next(texts), 0
    if piece.kind == "image":
        return [vocabulary.image_start, *[vocabulary.image_place] * num_patches], 1
    return [vocabulary.image_start, *(vocabulary.first_code + np.asarray(piece.value)).tolist()], 1
