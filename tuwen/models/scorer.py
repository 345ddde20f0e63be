"""The bootstrapped scorer: a small dual encoder of the corpus' own, one model a fold, and the folder that holds them.

    FOLDER/scorer.json     format, how folds are told, seed, counts, learning curves, verdict
    FOLDER/images.arrow    the images that were trained on and their near-duplicates, with their fold
    FOLDER/fold-0/ …       a complete checkpoint each, which transformers loads: the model that saw no image of fold 0

An image is scored by the model of its fold, so no pair is scored by a model that saw its image. The fold is that of
images.arrow, and of the id's hash for an image that is not there. Scoring with a network
that was trained on better data: data filtering networks, Fang et al. 2023, https://arxiv.org/abs/2309.17425.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tuwen.corpus.tables import digest
from tuwen.errors import UsageError, missing_extra
from tuwen.models.checkpoint import File, model_files, quiet

if TYPE_CHECKING:
    from tuwen.models.encoder import Encoder

FORMAT = 1
DIM = 64
"""Dimensions of the common space."""
SIDE = 64
"""Pixels of the square that an image is reduced to, whatever its shape."""
DESCRIPTION, SEEN = "scorer.json", "images.arrow"
START, END = "<|startoftext|>", "<|endoftext|>"
SEEN_SCHEMA = pa.schema([("image_id", pa.string()), ("fold", pa.int8())])
MOST_FOLDS = 100


@dataclass(frozen=True)
class Shape:
    """Size of the network: of the image tower, a ViT on square patches, and of the text tower."""

    width: int = 128
    layers: int = 3
    patch: int = 16  # pixels: with 8, a step costs three times as much
    text_width: int = 96
    text_layers: int = 2
    vocabulary: int = 4_096  # tokens at most, of a byte-level BPE
    context: int = 48  # tokens of a text at most, with start and end


LEARNT_CHARACTERS = 10_000
"""Of a text, what a tokenizer is learnt from: a megabyte without a space is one word, and takes many minutes."""


def fold_of(key: str, folds: int, seed: int) -> int:
    """Fold of an image by its key: its id, or that of its cluster of near-duplicates."""
    return int(digest("scorer", seed, key), 16) % folds


def train_tokenizer(texts: Sequence[str], shape: Shape) -> Any:
    """A byte-level BPE of the texts, NFKC, in lower case and with single spaces, as a tokenizer of transformers.

    Start and end have the two highest numbers: where a text ends is found by them, as in CLIP.
    """
    try:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError:
        raise missing_extra("transformers", "transformers") from None
    tokenizer = Tokenizer(models.BPE())
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), spaces, normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary - 2,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(text[:LEARNT_CHARACTERS] for text in texts), trainer)
    tokenizer.add_special_tokens([START, END])
    numbers = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=numbers)
    wrapped: Any = PreTrainedTokenizerFast
    return wrapped(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=shape.context,
    )


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Token numbers (texts, context), cut and padded."""
    width = tokenizer.model_max_length
    found = tokenizer(list(texts), truncation=True, padding="max_length", max_length=width)["input_ids"]
    return np.array(found, dtype=np.int64).reshape(len(texts), width)


def new_network(shape: Shape, tokenizer: Any) -> Any:
    """A CLIPModel with random weights; seed torch before."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    end = tokenizer.eos_token_id
    text = CLIPTextConfig(
        **_tower(shape.text_width, shape.text_layers),
        vocab_size=len(tokenizer),
        max_position_embeddings=shape.context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=end,
    )
    vision = CLIPVisionConfig(**_tower(shape.width, shape.layers), image_size=SIDE, patch_size=shape.patch)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=DIM)
    return CLIPModel(config)


def _tower(width: int, layers: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // 32),
        "projection_dim": DIM,
        "hidden_act": "gelu",
    }


def image_processor(
    side: int = SIDE, *, crop: bool = False, mean: Sequence[float] = (0.5,) * 3, std: Sequence[float] = (0.5,) * 3
) -> Any:
    """Reduces an image to the square, bicubic, and its values to -1 to 1; needs Pillow alone. `crop`: the middle of the
    image instead of all of it."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        do_resize=True,
        size={"shortest_edge": side} if crop else {"height": side, "width": side},
        resample=3,
        do_center_crop=crop,
        crop_size={"height": side, "width": side},
        do_rescale=True,
        do_normalize=True,
        image_mean=list(mean),
        image_std=list(std),
        do_convert_rgb=True,
    )


def save_checkpoint(folder: Path, network: Any, tokenizer: Any) -> None:
    """Everything that `AutoModel`, `AutoTokenizer` and `AutoImageProcessor` need to load the model from `folder`."""
    with quiet():
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)


@dataclass(frozen=True)
class Scorer:
    """A folder that `tuwen train scorer` wrote."""

    folder: Path
    described: Mapping[str, Any]
    seen: Mapping[str, int]

    @property
    def folds(self) -> int:
        """Number of models."""
        return int(self.described["folds"])

    def fold(self, image_id: str) -> int:
        """The fold of an image: its model has not seen it."""
        known = self.seen.get(image_id)
        return fold_of(image_id, self.folds, int(self.described["seed"])) if known is None else known

    def encoder(self, fold: int, device: str) -> Encoder:
        """The model of a fold."""
        return _encoder(self.folder / f"fold-{fold}", device)


def scorer_files(model: str, *, despite_verdict: bool = False) -> tuple[File, ...]:
    """The files of the folder `model`. `UsageError` where it is no scorer, is damaged, or, unless `despite_verdict`,
    where training found that nothing could be learnt."""
    folder = Path(model)
    described = _described(folder)
    folds = [folder / f"fold-{fold}" for fold in range(described["folds"])]
    verdict = described["verdict"]
    if not verdict["learned"] and not despite_verdict:
        raise UsageError(
            f"the scorer {model!r} learnt nothing ({verdict['reason']}), so its scores would mean nothing; train it on "
            "more or better pairs, or set despite_verdict: true to compute them all the same"
        )
    if missing := [path.name for path in [folder / SEEN, *folds] if not path.exists()]:
        raise UsageError(f"the scorer {model!r} lacks {', '.join(missing)}; train it again with `tuwen train scorer`")
    own = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in (folder / DESCRIPTION, folder / SEEN)]
    return (*own, *(file for path in folds for file in model_files(str(path))))


@lru_cache(maxsize=2)
def open_scorer(files: tuple[File, ...]) -> Scorer:
    """The scorer of `scorer_files`; 150 bytes an image that was trained on."""
    folder = Path(files[0][0]).parent
    try:
        with pa.memory_map(files[1][0]) as source:
            seen = pa.ipc.open_file(source).read_all()
        images, folds = seen["image_id"].to_pylist(), seen["fold"].to_pylist()
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise UsageError(f"{files[1][0]} cannot be read ({error}); train the scorer again") from error
    return Scorer(folder, _described(folder), dict(zip(images, folds, strict=True)))


def _described(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UsageError(f"{str(folder)!r} holds no {DESCRIPTION}; name a folder that `tuwen train scorer` wrote")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        is_known = found["format"] == FORMAT and 2 <= found["folds"] <= MOST_FOLDS
        _ = int(found["seed"]), bool(found["verdict"]["learned"]), str(found["verdict"]["reason"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({type(error).__name__}: {error}); train the scorer again") from error
    if not is_known:
        raise UsageError(f"{path} has format {found['format']!r}, this tuwen reads {FORMAT}; train the scorer again")
    return dict(found)


@lru_cache(maxsize=8)  # small ones, and a batch needs those of all folds
def _encoder(folder: Path, device: str) -> Encoder:
    from tuwen.models.transformers_encoder import TransformersEncoder, load_transformers

    return TransformersEncoder(*load_transformers(folder, device), device, DIM, SIDE)
