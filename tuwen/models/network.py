"""The network of a method: towers, and the features that they make of the columns of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from tuwen.errors import UsageError
from tuwen.models.image_tokenizer import ImageTokenizer
from tuwen.models.plain_towers import BagTower, GradientTower
from tuwen.models.scorer import Shape, tokens_of, train_tokenizer
from tuwen.models.sequences import Piece, TokenSequences, Vocabulary, encode_sequences
from tuwen.models.towers import STRICT, ConvTower, ImageTower, LanguageTower, Size, TextTower

if TYPE_CHECKING:
    from tuwen.models.features import Batch, Features

LEAST_VOCABULARY = 258
LARGEST_SCALE = 100.0
FIRST_SCALE = 5.0  # at CLIP's 1 / 0.07 small new towers, whose vectors are all alike, sometimes never come apart


@dataclass(frozen=True)
class Architecture:
    """Which towers a network has, and its sizes.

    `side`: pixels of the square images. `dim`: of the space that images and texts share. `context`: tokens of a text at
    most, with start and end; `sequence`: of a sequence. `vocabulary`: tokens at most, of a byte-level BPE that is
    learnt from the training texts. `codes`: of images, where sequences have them. `read`: what a sequence holds
    of an image, all its `patches`, or one vector, `pooled`, that is added to its place and to all tokens up to the
    next image: so small models learn to look from a tenth of the samples.
    """

    __pydantic_config__: ClassVar[Any] = STRICT
    image: ImageTower | None = field(default_factory=ImageTower)
    text: TextTower | None = field(default_factory=TextTower)
    language: LanguageTower | None = None
    side: Size = 32
    dim: Size = 64
    context: Annotated[int, Field(gt=2)] = 32
    sequence: Annotated[int, Field(gt=2)] = 96
    vocabulary: Size = 2_048
    codes: ImageTokenizer | None = None
    read: Literal["patches", "pooled"] = "patches"

    @property
    def num_read(self) -> int:
        """Places that an image takes in a sequence, without its mark."""
        if self.image is None:
            return 0
        return self.image.num_patches(self.side) if self.read == "patches" else 1

    def tokenizer(self, texts: Sequence[str]) -> Any:
        """A tokenizer of transformers, learnt from these texts: never from any that are kept for testing. `UsageError`
        where the vocabulary has no room for bytes, start and end."""
        if self.vocabulary < LEAST_VOCABULARY:
            raise UsageError(
                f"vocabulary is {self.vocabulary}; 256 bytes, a start and an end are {LEAST_VOCABULARY} tokens at least"
            )
        return train_tokenizer(sorted(set(texts)), Shape(vocabulary=self.vocabulary, context=self.context))


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of an image: squeezed into a square, or (`crop`) its middle; red, green and blue from 0 to 1, minus
    `mean`, by `std`."""

    crop: bool = False
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)


class Network(nn.Module):
    """Towers and their projections. `feature` computes what `Features` is asked for.

    `image`, `text`: towers that are there already, instead of new ones.
    """

    def __init__(
        self,
        architecture: Architecture,
        tokenizer: Any,
        *,
        image: nn.Module | None = None,
        text: nn.Module | None = None,
        preprocessing: Preprocessing = Preprocessing(),
    ) -> None:
        super().__init__()
        self.architecture, self.tokenizer, self.preprocessing = architecture, tokenizer, preprocessing
        self.vocabulary = Vocabulary(tokenizer, architecture.codes.number if architecture.codes else 0)
        self.codebook = architecture.codes.build(architecture.side) if architecture.codes else None
        start, end = self.vocabulary.start, self.vocabulary.end
        if image is None and architecture.image:
            image = architecture.image.build(architecture.side)
        if text is None and architecture.text:
            text = architecture.text.build(len(tokenizer), architecture.context, start, end)
        self.image, self.text = image, text
        self.language = (
            architecture.language.build(len(self.vocabulary), architecture.sequence, start, end)
            if architecture.language
            else None
        )
        if architecture.image:
            self.image_projection = nn.Linear(architecture.image.width, architecture.dim, bias=False)
        if architecture.text:
            self.text_projection = nn.Linear(architecture.text.width, architecture.dim, bias=False)
        if architecture.image and architecture.language:
            width = architecture.language.width
            self.connector = nn.Sequential(
                nn.LayerNorm(architecture.image.width), nn.Linear(architecture.image.width, width)
            )
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.logit_scale.device

    # Columns of a batch as tensors ------------------------------------------------------------------------------

    def encode(self, batch: Batch) -> dict[str, Any]:
        """The batch with tensors: images (N, 3, side, side) from -1 to 1, texts (N, L), sequences `TokenSequences`."""
        return {name: self.encoded(values) for name, values in batch.items()}

    def encoded(self, values: Any) -> Any:
        """A column with tensors; what is a tensor already stays."""
        if isinstance(values, list) and values and isinstance(values[0], str):
            return self.text_tokens(values)
        if isinstance(values, list) and values and isinstance(values[0], list | tuple) and _is_sequence(values[0]):
            return self.sequence_tokens(values)
        if isinstance(values, np.ndarray) and values.ndim == 4:
            return self.pixel_values(values)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return values

    def pixel_values(self, images: Any) -> torch.Tensor:
        """uint8 (N, side, side, 3) → float (N, 3, side, side), -1 to 1 or as `preprocessing` says."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2).float()
        if self.preprocessing.mean == self.preprocessing.std == (0.5, 0.5, 0.5):
            return pixels / 127.5 - 1
        mean, std = (
            torch.tensor(each, device=self.device)[:, None, None]
            for each in (self.preprocessing.mean, self.preprocessing.std)
        )
        return (pixels / 255 - mean) / std

    def text_tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, L), no wider than the longest."""
        tokens = torch.from_numpy(tokens_of(self.tokenizer, texts))
        width = int((tokens != self.vocabulary.end).sum(1).max()) + 1
        return tokens[:, :width].contiguous().to(self.device)

    def sequence_tokens(
        self, sequences: Sequence[Sequence[Piece]], closed: bool = True, room: int = 0
    ) -> TokenSequences:
        """Sequences as the language tower reads them; `room`: tokens that stay free behind the longest."""
        return encode_sequences(
            self._coded(sequences),
            self.vocabulary,
            num_patches=self.architecture.num_read,
            context=self.architecture.sequence - room,
            side=self.architecture.side,
            closed=closed,
        ).to(str(self.device))

    def _coded(self, sequences: Sequence[Sequence[Piece]]) -> Sequence[Sequence[Piece]]:
        """With codes in the place of images that are to be drawn."""
        images = [np.asarray(piece.value) for pieces in sequences for piece in pieces if piece.coded]
        if not images:
            return sequences
        if self.codebook is None:
            raise UsageError("a sequence holds an image as codes, and the architecture has none; say codes: {}")
        codes = iter(self.codebook.encode(np.stack(images)))
        return [
            [Piece(next(codes), piece.learnt) if piece.coded else piece for piece in pieces] for pieces in sequences
        ]

    # Features ---------------------------------------------------------------------------------------------------

    def feature(self, column: str, kind: str, features: Features) -> Any:
        """One of `KINDS` of a column; `UsageError` names those there are."""
        if kind not in self.KINDS:
            raise UsageError(f"no feature {kind!r}; known: {', '.join(self.KINDS)}, and the columns of the batch")
        return self.KINDS[kind](self, column, features)

    def _scale(self, column: str, features: Features) -> torch.Tensor:
        return self.logit_scale.exp().clamp(max=LARGEST_SCALE)

    def _embedding(self, column: str, features: Features) -> torch.Tensor:
        return nn.functional.normalize(features[f"{column}.projected"], dim=-1)

    def _projected(self, column: str, features: Features) -> torch.Tensor:
        pooled = features[f"{column}.pooled"]  # first: it says which tower there is not
        project = self.image_projection if features[column].is_floating_point() else self.text_projection
        return project(pooled)  # type: ignore[no-any-return]

    def _pooled(self, column: str, features: Features) -> torch.Tensor:
        values, hidden = features[column], features[f"{column}.tokens"]
        if isinstance(self.text, BagTower) and not values.is_floating_point():
            return self.text.pooled(hidden, (values != self.vocabulary.start) & (values != self.vocabulary.end))
        if not values.is_floating_point():
            ends = (values == self.vocabulary.end).int().argmax(1)
            return hidden[torch.arange(len(values), device=hidden.device), ends]  # type: ignore
        if isinstance(self.image, ConvTower | GradientTower):
            return self.image.pooled(hidden)
        return self.image.post_layernorm(hidden[:, 0])  # type: ignore

    def _tokens(self, column: str, features: Features) -> torch.Tensor:
        values = features[column]
        if not values.is_floating_point():
            if self.text is None:
                raise UsageError(f"column {column!r} is a text, and the network has no text tower")
            if isinstance(self.text, BagTower):
                return self.text(values)  # type: ignore[no-any-return]
            return self.text(input_ids=values).last_hidden_state  # type: ignore[no-any-return]
        if self.image is None:
            raise UsageError(f"column {column!r} is an image, and the network has no image tower")
        if isinstance(self.image, ConvTower | GradientTower):
            return self.image(values)  # type: ignore[no-any-return]
        return self.image(pixel_values=values).last_hidden_state  # type: ignore[no-any-return]

    def _patches(self, column: str, features: Features) -> torch.Tensor:
        hidden = features[f"{column}.tokens"]
        return hidden if isinstance(self.image, ConvTower | GradientTower) else hidden[:, 1:]  # type: ignore[no-any-return]

    def _patch_embedding(self, column: str, features: Features) -> torch.Tensor:
        return nn.functional.normalize(self.image_projection(features[f"{column}.patches"]), dim=-1)

    def _images(self, column: str, features: Features) -> torch.Tensor:
        return self.pixel_values(features[column].images)

    def _states(self, column: str, features: Features) -> torch.Tensor:
        if self.language is None:
            raise UsageError(f"column {column!r} is a sequence, and the network has no language tower")
        tokens: TokenSequences = features[column]
        hidden = self.language.get_input_embeddings()(tokens.ids)  # type: ignore[operator]
        if len(tokens.image_row) and self.architecture.read == "pooled":
            hidden = hidden + _last_image(tokens, self.connector(features[f"{column}.images.pooled"]).to(hidden.dtype))
        elif len(tokens.image_row):
            patches_MPW = self.connector(features[f"{column}.images.patches"])
            places = tokens.image_start[:, None] + 1 + torch.arange(patches_MPW.shape[1], device=hidden.device)
            rows = tokens.image_row[:, None].expand_as(places)
            hidden = hidden.index_put((rows, places), patches_MPW.to(hidden.dtype))
        return self.language.model(inputs_embeds=hidden, use_cache=False).last_hidden_state  # type: ignore

    def _logits(self, column: str, features: Features) -> torch.Tensor:
        return self.next_tokens(features[f"{column}.states"])

    def _losses(self, column: str, features: Features) -> torch.Tensor:
        tokens: TokenSequences = features[column]
        learnt = tokens.learnt[:, 1:]
        # Only what is learnt meets the vocabulary: over all tokens this would cost more than the towers.
        logits = self.next_tokens(features[f"{column}.states"][:, :-1][learnt])
        found = logits.new_zeros(learnt.shape)
        found[learnt] = nn.functional.cross_entropy(logits, tokens.ids[:, 1:][learnt], reduction="none")
        return found

    def next_tokens(self, states: torch.Tensor) -> torch.Tensor:
        """Logits over all tokens for states of the language tower."""
        return self.language.lm_head(states)  # type: ignore[no-any-return,union-attr,operator]

    KINDS: ClassVar[Mapping[str, Callable[[Network, str, Features], Any]]] = {
        "embedding": _embedding,  # images (N, dim) or texts (N, dim), of length 1
        "projected": _projected,  # the same with the length that the network gives it
        "pooled": _pooled,  # one vector an image or text (N, width), before the projection
        "tokens": _tokens,  # last states of a tower (N, T, width)
        "patches": _patches,  # those of an image's patches (N, P, width)
        "patch_embedding": _patch_embedding,  # the same in the space of images and texts (N, P, dim), of length 1
        "images": _images,  # the images of sequences (M, 3, side, side)
        "states": _states,  # of a sequence (N, L, width): state l has read tokens 0 … l
        "logits": _logits,  # of a sequence (N, L, tokens): what follows
        "losses": _losses,  # of a sequence (N, L - 1): -log P of each learnt token after the first, else 0
        "scale": _scale,  # of cosines in a contrast, at most 100
    }


def _is_sequence(values: Sequence[Any]) -> bool:
    return all(isinstance(each, Piece) for each in values)


def _last_image(tokens: TokenSequences, vectors_MW: torch.Tensor) -> torch.Tensor:
    """(N, L, width): at each place the vector of the last image that stands there or before, 0 before the first."""
    numbers = torch.zeros_like(tokens.ids)
    numbers[tokens.image_row, tokens.image_start + 1] = 1 + torch.arange(len(vectors_MW), device=numbers.device)
    nothing = vectors_MW.new_zeros((1, vectors_MW.shape[1]))
    return torch.cat([nothing, vectors_MW])[numbers.cummax(1).values]
