"""Contrastive training of a dual encoder on few pairs, on a CPU, to the same bytes every time.

Symmetric InfoNCE: Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.3. **Differs from the paper:** two
pairs of a batch that share their image or their text are no negatives of each other, which matters where a picture has
texts in many languages and a text stands below many pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tuwen.errors import missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

WARM_UP = 0.1  # share of the steps
WEIGHT_DECAY = 0.1
LARGEST_SCALE = 100.0  # of the logits, as in CLIP
SHIFT = 4  # pixels that an image moves at random, at most; mirrored or recoloured it would contradict its text
BATCH = 64
TRIMMED, TRIMMED_FROM = 0.25, 0.3  # share of a batch with the largest losses that is left out, from that share of steps
AVERAGED = 0.99  # of the running mean of the weights, what stays at each step; less at the beginning


@dataclass(frozen=True)
class Examples:
    """Pairs as numbers: pair n shows image `image[n]` with text `text[n]`.

    `pixels`: uint8 (images, side, side, 3), which may lie in a file. `tokens`: int64 (texts, width), padded with
    `padding`. `owner`: what the image of pair n counts as, itself or its cluster of near-duplicates.
    """

    pixels: NDArray[np.uint8]
    tokens: Integers
    padding: int
    image: Integers
    text: Integers
    owner: Integers


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """One thread, deterministic kernels and a seeded generator; afterwards torch is as it was."""
    try:
        import torch
    except ImportError:
        raise missing_extra("transformers", "torch") from None
    threads, was = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)  # the sum of a matrix product depends on how it is shared out
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(was)
        torch.set_num_threads(threads)


def contrastive_loss(images_ND: Any, texts_ND: Any, scale: Any, same_NN: Any, trimmed: float = 0.0) -> Any:
    """Symmetric InfoNCE of normalised embeddings. `same_NN`: true where two pairs share image or text; the diagonal
    does not matter. The share `trimmed` of the pairs, those with the largest losses, does not count."""
    import torch

    logits_NN = scale * images_ND @ texts_ND.T
    off_diagonal = ~torch.eye(len(logits_NN), dtype=torch.bool)
    logits_NN = logits_NN.masked_fill(same_NN & off_diagonal, -math.inf)
    targets = torch.arange(len(logits_NN))
    both = torch.nn.functional.cross_entropy
    losses_N = both(logits_NN, targets, reduction="none") + both(logits_NN.T, targets, reduction="none")
    kept = max(1, round((1 - trimmed) * len(losses_N)))
    return losses_N.sort().values[:kept].mean() / 2


def fit(
    network: Any,
    examples: Examples,
    rows: Integers,
    *,
    steps: int,
    seed: int,
    learning_rate: float = 1e-3,
    batch_size: int = BATCH,
    on_step: Callable[[int, float, Any], None] = lambda step, loss, averaged: None,
) -> None:
    """Train `network`, a transformers CLIPModel, on the pairs `rows` for so many steps; it is left in `eval` mode.

    AdamW, warm-up and cosine. Every epoch goes through all pairs in another order. Wrong pairs are learnt later than
    right ones: after 30 % of the steps the quarter of a batch with the largest losses is left out (small loss,
    Han et al. 2018, https://arxiv.org/abs/1804.06872). What is left in the end is a running
    mean of the weights, which wrong pairs move less than single steps (Polyak & Juditsky 1992,
    https://doi.org/10.1137/0330046). `on_step` gets each step's number, from 1, its loss, and the network with the mean
    so far. Equal input, seed and versions give equal weights to the last bit, on one kind of CPU.
    """
    import torch

    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_running_mean)
    averaged.module.eval()
    with deterministic(seed):
        network.train()
        for step, batch in enumerate(_batches(rows, batch_size, steps, seed), start=1):
            images_ND, texts_ND = _embeddings(network, examples, batch)
            owner, text = torch.from_numpy(examples.owner[batch]), torch.from_numpy(examples.text[batch])
            same_NN = (owner[:, None] == owner) | (text[:, None] == text)
            scale = network.logit_scale.exp().clamp(max=LARGEST_SCALE)
            trimmed = TRIMMED if step > TRIMMED_FROM * steps else 0.0
            loss = contrastive_loss(images_ND, texts_ND, scale, same_NN, trimmed)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
            on_step(step, float(loss.detach()), averaged.module)
        network.load_state_dict(averaged.module.state_dict())
        network.eval()


def _running_mean(averaged: Any, current: Any, number: Any) -> Any:
    """The first means are over few steps: the beginning is soon forgotten."""
    kept = min(AVERAGED, (1 + float(number)) / (10 + float(number)))
    return averaged.lerp(current, 1 - kept)


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(rows: Integers, batch_size: int, steps: int, seed: int) -> Iterator[Integers]:
    """`steps` batches; the pairs that an epoch leaves over are drawn in another one."""
    size = min(batch_size, len(rows))
    done = epoch = 0
    while done < steps:
        order = np.random.default_rng([seed, epoch]).permutation(rows)
        for start in range(0, len(order) - size + 1, size):
            if done < steps:
                yield order[start : start + size]
                done += 1
        epoch += 1


def _embeddings(network: Any, examples: Examples, batch: Integers) -> tuple[Any, Any]:
    """Normalised embeddings of the batch' images, each moved a little, and texts."""
    import torch

    images = image_features(network, _moved(normalised(_read(examples, examples.image[batch]))))
    texts = text_features(network, examples, examples.text[batch])
    return torch.nn.functional.normalize(images, dim=-1), torch.nn.functional.normalize(texts, dim=-1)


def normalised(pixels_NHW3: Any) -> Any:
    """uint8 pixels as the network sees them: (N, 3, H, W), -1 to 1."""
    return pixels_NHW3.permute(0, 3, 1, 2).float() / 127.5 - 1


def _read(examples: Examples, images: Integers) -> Any:
    import torch

    return torch.from_numpy(examples.pixels[images])


def image_features(network: Any, values_N3HW: Any) -> Any:
    """Projected features of images."""
    return network.visual_projection(network.vision_model(pixel_values=values_N3HW).pooler_output)


def text_features(network: Any, examples: Examples, texts: Integers) -> Any:
    """Projected features of texts, no wider than the longest of them."""
    import torch

    tokens_NL = torch.from_numpy(examples.tokens[texts])
    # Tokens behind the first that ends a text are never seen: attention looks back only.
    width = int((tokens_NL != examples.padding).sum(1).max()) + 1
    pooled = network.text_model(input_ids=tokens_NL[:, :width].contiguous()).pooler_output
    return network.text_projection(pooled)


def _moved(values_N3HW: Any) -> Any:
    """Each image moved by up to `SHIFT` pixels; the border is repeated."""
    import torch

    count, _, height, width = values_N3HW.shape
    padded = torch.nn.functional.pad(values_N3HW, (SHIFT,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, count, 1))
    rows_N1H1 = (down + torch.arange(height))[:, None, :, None]
    columns_N11W = (right + torch.arange(width))[:, None, None, :]
    images_N111 = torch.arange(count)[:, None, None, None]
    return padded[images_N111, torch.arange(3)[None, :, None, None], rows_N1H1, columns_N11W]


def image_embeddings(network: Any, examples: Examples, images: Integers) -> Floats:
    """Normalised embeddings (N, dim) of images, each computed once."""
    return _each_once(network, images, lambda chosen: image_features(network, normalised(_read(examples, chosen))))


def text_embeddings(network: Any, examples: Examples, texts: Integers) -> Floats:
    """Normalised embeddings (N, dim) of texts, each computed once."""
    return _each_once(network, texts, lambda chosen: text_features(network, examples, chosen))


def _each_once(network: Any, places: Integers, features: Callable[[Integers], Any]) -> Floats:
    import torch

    distinct, back = np.unique(places, return_inverse=True)
    network.eval()
    with torch.inference_mode():
        parts = [features(distinct[start : start + BATCH]) for start in range(0, len(distinct), BATCH)]
        found: Floats = torch.nn.functional.normalize(torch.cat(parts), dim=-1).numpy()[back]
    return found
