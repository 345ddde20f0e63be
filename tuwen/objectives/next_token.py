"""Cross entropy of the next token of sequences: captions, documents, codes of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuwen.models.features import Features
from tuwen.models.sequences import TokenSequences


@dataclass(frozen=True)
class NextToken:
    """Mean over all learnt tokens of -log P, given what stands before them.

    `sequence`: a column of sequences. `weight`: name of factors (N, L - 1), one for each token after the first, of the
    tokens' losses, which are divided by the sum of the factors of learnt tokens.
    """

    sequence: str = "caption"
    weight: str | None = None

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        tokens: TokenSequences = features[self.sequence]
        factors = tokens.learnt[:, 1:].float()
        if self.weight is not None:
            factors = factors * features[self.weight]
        loss = (losses_of(features, self.sequence) * factors).sum() / factors.sum().clamp(min=1e-6)
        return {f"next_token.{self.sequence}": loss}


def losses_of(features: Features, sequence: str) -> torch.Tensor:
    """-log P of each learnt token after the first (N, L - 1), 0 for the others."""
    return features[f"{sequence}.losses"]  # type: ignore[no-any-return]
