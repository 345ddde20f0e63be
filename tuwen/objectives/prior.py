"""Weights of a caption's tokens: those that text alone does not foretell are the image's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tuwen.models.features import Features
from tuwen.models.network import Network
from tuwen.models.sequences import TokenSequences
from tuwen.models.towers import LanguageTower


@dataclass(frozen=True)
class Prior:
    """Hands on `to`, factors (N, L - 1) of the tokens after the first: `next_token: {weight: …}` reads them.

    A reference language model sees the sequence with every image covered, and gives each token the probability p.
    `form`: (1 - p) to the power of `alpha`, or p to the power of -`alpha`, in which case no factor is above `most`.
    Factors have mean 1 over the batch's learnt tokens. `shuffled`: each goes to another learnt token, a control that
    keeps how unequal factors are. `reference`: the reference's size.

    PRIOR, Chen et al. 2025, https://arxiv.org/abs/2505.08971; the form is from a description.
    Differs from the paper: the reference learns from the same captions at the same time, not before.
    """

    sequence: str = "caption"
    to: str = "prior.weight"
    alpha: float = 1.0
    form: Literal["complement", "inverse"] = "complement"
    most: float = 10.0
    shuffled: bool = False
    reference: LanguageTower = field(default_factory=lambda: LanguageTower(width=64, layers=1))

    def module(self, network: Network) -> nn.Module:
        """The reference, with new weights."""
        vocabulary = network.vocabulary
        return self.reference.build(len(vocabulary), network.architecture.sequence, vocabulary.start, vocabulary.end)

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        tokens: TokenSequences = features[self.sequence]
        learnt = tokens.learnt[:, 1:]
        reference = features.own[self]
        states = reference.model(input_ids=tokens.ids, use_cache=False).last_hidden_state[:, :-1]
        losses = cross_entropy(reference.lm_head(states[learnt]), tokens.ids[:, 1:][learnt], reduction="none")
        factors = self.factors(torch.exp(-losses.detach()))
        if self.shuffled:
            factors = factors[torch.randperm(len(factors), device=factors.device)]
        weight = factors.new_zeros(learnt.shape)
        weight[learnt] = factors
        features[self.to] = weight
        return {"prior.reference": losses.mean()}

    def factors(self, p: torch.Tensor) -> torch.Tensor:
        """Of learnt tokens with these probabilities (T,)."""
        found = (1 - p) ** self.alpha if self.form == "complement" else (p**-self.alpha).clamp(max=self.most)
        return found / found.mean().clamp(min=1e-6)
