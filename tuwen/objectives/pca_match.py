"""What an image has in common with many: its embedding in the first principal components of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tuwen.models.features import Features
from tuwen.objectives.contrast import embedding_of


@dataclass(frozen=True)
class PcaMatch:
    """Hands on `to`: the embeddings (N, dim) of `image` with only the first `components` principal components of the
    batch, its mean added again. A contrast of them with short captions leaves details to the long ones.

    Zhang et al. 2024 (Long-CLIP), https://arxiv.org/abs/2403.15378, section 3.2. As in the authors' code their length
    is no longer 1. Differs from the code: components are constants to the gradient, since that of a decomposition has
    no bound where two variances are equal.
    """

    components: int = 8
    image: str = "image"
    to: str = "image.principal"

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        images_ND = embedding_of(features, self.image)
        mean_D = images_ND.mean(0)
        centred_ND = images_ND - mean_D
        axes_DK = torch.linalg.svd(centred_ND.detach().float(), full_matrices=False).Vh[: self.components].T
        features[self.to] = centred_ND @ axes_DK @ axes_DK.T + mean_D
        return {}
