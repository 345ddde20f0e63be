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

from tuwen.errors import UsageError


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
    `image_start[m]`. `whole` (N,): whether all learnt tokens of the sequence are there.
    """

    ids: torch.Tensor
    learnt: torch.Tensor
    images: NDArray[np.uint8]
    image_row: torch.Tensor
    image_start: torch.Tensor
    whole: torch.Tensor

    def to(self, device: str) -> TokenSequences:
        """The same on another device; images follow when they are read."""
        moved = [each.to(device) for each in (self.ids, self.learnt, self.image_row, self.image_start, self.whole)]
        return TokenSequences(moved[0], moved[1], self.images, moved[2], moved[3], moved[4])


def encode_sequences(
    sequences: Sequence[Sequence[Piece]],
    vocabulary: Vocabulary,
    *,
    num_patches: int,
    context: int,
    side: int,
    closed: bool = True,
) -> TokenSequences:
    """Tokens of sequences, padded on the right. `closed`: with the token that ends a sequence, learnt where the last
    piece is.

    Of a sequence that is longer than `context`, texts that are not learnt lose their ends first, the longest text first
    and no more than is needed; where the last piece is codes, learnt texts do after them. One that is still too long
    ends early: a text is cut, and an image that does not fit is left out with all behind it. `UsageError` where codes
    that come last, an image or codes alone, or nothing that is learnt fits.
    """
    texts = [str(piece.value) for pieces in sequences for piece in pieces if piece.kind == "text"]
    known = vocabulary.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    tokens = iter(known)
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    images: list[NDArray[np.uint8]] = []
    places: list[tuple[int, int]] = []
    whole: list[bool] = []
    for number, pieces in enumerate(sequences):
        row, mark, full = [vocabulary.start], [False], False
        parts = [_tokens_of(piece, tokens, vocabulary, num_patches) for piece in pieces]
        learnt_parts = [
            len(new) - start
            for piece, (new, start) in zip(pieces, parts, strict=True)
            if piece.learnt and piece.kind != "image"
        ]
        num_learnt = sum(learnt_parts) + (closed and bool(pieces) and pieces[-1].learnt)
        _shorten(pieces, [new for new, _ in parts], context, closed)
        for piece, (new, start) in zip(pieces, parts, strict=True):
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
        whole.append(sum(marks[-1]) == num_learnt)
        if num_learnt and not any(marks[-1]):
            raise UsageError(
                f"sequence: nothing of what a sequence has to learn fits into {context} tokens; say a longer `sequence`"
            )
    width = max(map(len, rows), default=1)
    ids = torch.full((len(rows), width), vocabulary.end)
    learnt = torch.zeros((len(rows), width), dtype=torch.bool)
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        learnt[number, : len(mark)] = torch.tensor(mark)
    stacked = np.stack(images) if images else np.zeros((0, side, side, 3), np.uint8)
    place = torch.tensor(places, dtype=torch.long).reshape(-1, 2)
    return TokenSequences(ids, learnt, stacked, place[:, 0], place[:, 1], torch.tensor(whole, dtype=torch.bool))


def _shorten(pieces: Sequence[Piece], tokens: Sequence[list[int]], context: int, closed: bool) -> None:
    """Cut texts among the `tokens` of pieces, as `encode_sequences` says."""
    ends_in_codes = bool(pieces) and pieces[-1].kind == "codes"
    longest = max((len(new) for piece, new in zip(pieces, tokens, strict=True) if piece.kind != "text"), default=0)
    missing = 1 + sum(map(len, tokens)) + closed - context
    texts = [each for each, piece in enumerate(pieces) if piece.kind == "text" and (ends_in_codes or not piece.learnt)]
    for text in sorted(texts, key=lambda each: (pieces[each].learnt, -len(tokens[each]))):
        left = max(0, len(tokens[text]) - max(0, missing))
        missing -= len(tokens[text]) - left
        del tokens[text][left:]
    needed = context + missing if ends_in_codes and missing > 0 else 1 + longest
    if needed > context:
        raise UsageError(
            f"sequence: images and codes need {needed} tokens of a sequence without its texts, there are {context}; "
            "say a longer `sequence`"
        )


def _tokens_of(piece: Piece, texts: Any, vocabulary: Vocabulary, num_patches: int) -> tuple[list[int], int]:
    """The tokens of a piece, and how many of them are marks that nobody has to predict."""
    if piece.kind == "text":
        return next(texts), 0
    if piece.kind == "image":
        return [vocabulary.image_start, *[vocabulary.image_place] * num_patches], 1
    return [vocabulary.image_start, *(vocabulary.first_code + np.asarray(piece.value)).tolist()], 1
