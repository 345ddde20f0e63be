"""Which words the text of an image has, told from the image: what CLIP's contrast was measured against."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuwen.models.features import Features
from tuwen.objectives.contrast import embedding_of


@dataclass(frozen=True)
class BagOfWords:
    """Cross entropy of an image's distribution over words against its text's words, each with an equal share.

    Needs the view `bag`. A word's vector is the text tower's of the word alone. Joulin et al. 2016,
    https://arxiv.org/abs/1511.02251, section 3.2; Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.3.
    Differs from the papers: the words are those of the batch, not of a fixed dictionary.
    """

    word: str = "word"
    mentions: str = "mentions"
    image: str = "image"

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        images_ND, words_MD = embedding_of(features, self.image), embedding_of(features, self.word)
        log_p_NM = (features["scale"] * images_ND @ words_MD.T).log_softmax(-1)
        mentions_NM = features[self.mentions]
        shares_NM = mentions_NM / mentions_NM.sum(1, keepdim=True).clamp(min=1)
        return {"bag_of_words": -(shares_NM * log_p_NM).sum(1).mean()}
