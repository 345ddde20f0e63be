"""Codes of an image told all at once, from those that are known: the masked prior, and how it draws.

Chang et al. 2022 (MaskGIT), https://arxiv.org/abs/2202.04200; Chang et al. 2023 (Muse), https://arxiv.org/abs/2301.00704.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from tuwen.models.network import Network


def share_masked(progress: torch.Tensor) -> torch.Tensor:
    """The cosine schedule: all codes at 0, none at 1."""
    return torch.cos(progress * math.pi / 2)


def code_logits(network: Network, ids: torch.Tensor) -> torch.Tensor:
    """Logits over the codes (N, L, codes) at each place of sequences (N, L) that all of the others may be read for.

    The mark of a patch, which stands for nothing else in such sequences, is the mask. Padding is not read.
    """
    known = ids != network.vocabulary.end
    readable = known[:, None, None].expand(-1, 1, ids.shape[1], -1)
    unread = torch.zeros(readable.shape, device=ids.device).masked_fill(~readable, -math.inf)
    language = network.language
    hidden = language.model(input_ids=ids, attention_mask=unread, use_cache=False).last_hidden_state  # type: ignore
    return network.next_tokens(hidden)[..., network.vocabulary.first_code :]


def decoded(
    network: Network, ids: torch.Tensor, places: torch.Tensor, *, steps: int, noise: float, generator: torch.Generator
) -> torch.Tensor:
    """Codes (N, P) at `places` (N, P) of sequences (N, L), drawn in so many steps.

    Each step draws every missing code by its probability and keeps the most probable ones, so many as the schedule
    says. `noise`: how much luck there is in what is kept, falling to nothing; 0 keeps the most probable.
    """
    vocabulary = network.vocabulary
    rows = torch.arange(len(ids), device=ids.device)[:, None]
    ids = ids.clone()
    ids[rows, places] = vocabulary.image_place
    number = places.shape[1]
    for step in range(1, steps + 1):
        missing = ids[rows, places] == vocabulary.image_place
        shares = code_logits(network, ids)[rows, places].float().softmax(-1)
        drawn = torch.multinomial(shares.flatten(0, 1), 1, generator=generator).view(missing.shape)
        sure = shares.gather(2, drawn[..., None])[..., 0].log()
        luck = -torch.log(-torch.log(torch.rand(sure.shape, generator=generator, device=ids.device)))
        sure = (sure + noise * (1 - step / steps) * luck).masked_fill(~missing, math.inf)
        still = math.ceil(number * float(share_masked(torch.tensor(step / steps))) - 1e-6)
        new = torch.where(missing, vocabulary.first_code + drawn, ids[rows, places])
        new = new.scatter(1, sure.argsort(1)[:, :still], vocabulary.image_place)
        ids[rows, places] = new
    return ids[rows, places] - vocabulary.first_code
