"""Codes of an image from its text and some of its other codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.masked_decoding import code_logits, share_masked
from tuwen.models.sequences import TokenSequences


@dataclass(frozen=True)
class MaskedCodes:
    """Mean of -log P of the masked codes of sequences (text, codes), each place reading all others.

    The share that is masked is drawn for each sequence by the cosine schedule: more often many than few, at least one.
    `tuwen.models.masked_decoding` draws images with it. Chang et al. 2022, https://arxiv.org/abs/2202.04200.
    """

    sequence: str = "drawing"

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        network, tokens = features.network, features[self.sequence]
        masked = self.masked(tokens, network.vocabulary.first_code)
        logits = code_logits(network, tokens.ids.masked_fill(masked, network.vocabulary.image_place))
        targets = tokens.ids[masked] - network.vocabulary.first_code
        return {f"masked_codes.{self.sequence}": cross_entropy(logits[masked], targets)}

    def masked(self, tokens: TokenSequences, first_code: int) -> torch.Tensor:
        """(N, L): codes that are hidden, drawn from torch's generator."""
        codes = tokens.ids >= first_code
        numbers = codes.sum(1)
        if not bool(numbers.all()):
            raise UsageError(
                "masked_codes: a sequence holds no codes; it has to end in them, as the view `drawn` makes sequences"
            )
        share = share_masked(torch.rand(len(codes), device=codes.device))
        hidden = torch.ceil(share * numbers).clamp(min=1)
        luck = torch.rand(codes.shape, device=codes.device).masked_fill(~codes, 2.0)
        return codes & (luck.argsort(1).argsort(1) < hidden[:, None])
