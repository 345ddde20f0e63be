"""Sequences that are longer than the context, by hand: a token for each letter."""

from __future__ import annotations

import numpy as np
import pytest

from tuwen.errors import UsageError
from tuwen.models.sequences import Piece, TokenSequences, Vocabulary, encode_sequences

IMAGE = np.zeros((4, 4, 3), np.uint8)
CODES = np.array([0, 1, 2])


class Letters:
    """a is 2, b is 3, …; 0 starts and 1 ends."""

    bos_token_id, eos_token_id = 0, 1

    def __len__(self) -> int:
        return 28

    def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) - 95 for letter in text] for text in texts]}


def encoded(*pieces: Piece, context: int, closed: bool = True) -> TokenSequences:
    return encode_sequences([pieces], Vocabulary(Letters(), 3), num_patches=2, context=context, side=4, closed=closed)


def said(tokens: TokenSequences) -> str:
    """Letters; < starts, > ends, I marks an image, _ is a place, digits are codes; ! what is learnt."""
    names = ["<", ">", *"abcdefghijklmnopqrstuvwxyz", "i", "_", *"012"]
    told = [names[token] for token in tokens.ids[0].tolist()]
    return " ".join(f"{name}!" if mark else name for name, mark in zip(told, tokens.learnt[0].tolist(), strict=True))


def test_a_text_that_is_read_gives_way_to_codes() -> None:
    tokens = encoded(Piece("abcdef", learnt=False), Piece(CODES), context=9)
    assert said(tokens) == "< a b c i 0! 1! 2! >!" and tokens.whole.tolist() == [True]
    tokens = encoded(Piece("abcdef", learnt=False), Piece(CODES), context=9, closed=False)
    assert said(tokens) == "< a b c d i 0! 1! 2!"


def test_codes_at_the_end_stay_behind_learnt_texts_and_images() -> None:
    tokens = encoded(Piece("ab", learnt=False), Piece(IMAGE), Piece("cdef"), Piece(CODES), context=11)
    assert said(tokens) == "< i _ _ c! d! i 0! 1! 2! >!"
    assert tokens.image_start.tolist() == [1] and tokens.whole.tolist() == [False]


def test_a_question_gives_way_to_its_answer_the_longest_text_first() -> None:
    told = (Piece("ab", learnt=False), Piece(IMAGE), Piece("cdefg", learnt=False), Piece("xy"))
    assert said(encoded(*told, context=12)) == "< a b i _ _ c d e x! y! >!"
    assert said(encoded(*told, context=8)) == "< a i _ _ x! y! >!"


def test_what_is_learnt_is_cut_and_documents_end_early() -> None:
    tokens = encoded(Piece(IMAGE), Piece("abcdef"), context=8)
    assert said(tokens) == "< i _ _ a! b! c! d!" and tokens.whole.tolist() == [False]
    tokens = encoded(Piece("ab"), Piece(IMAGE), Piece("cd"), Piece(IMAGE), context=9)
    assert said(tokens) == "< a! b! i _ _ c! d! >!" and tokens.whole.tolist() == [True]
    tokens = encoded(Piece("abcdef"), Piece(IMAGE), Piece("cd"), context=9)
    assert not len(tokens.images) and tokens.whole.tolist() == [False]


@pytest.mark.parametrize(
    ("pieces", "context", "told"),
    [
        ((Piece("a", learnt=False), Piece(CODES)), 5, "need 6 tokens of a sequence without its texts, there are 5"),
        ((Piece(IMAGE), Piece("a"), Piece(CODES)), 8, "need 9 tokens"),
        ((Piece("ab"), Piece(IMAGE)), 3, "need 4 tokens"),
        ((Piece(IMAGE), Piece("ab")), 4, "nothing of what a sequence has to learn fits into 4 tokens"),
    ],
)
def test_what_cannot_fit_is_refused(pieces: tuple[Piece, ...], context: int, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        encoded(*pieces, context=context)
