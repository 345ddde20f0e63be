"""A causal language model that the user has, as a folder that transformers reads, and how it finds texts.

Weights are read as float32. Nothing is downloaded, no code of the folder runs, and weights in pickles are read as data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tuwen.errors import UsageError
from tuwen.models.checkpoint import File, first_line, folder_of, load_tokenizer, load_weights, prepare_torch, told

_MIN_WIDTH = 16
_MOST_LOGITS = 1 << 26  # of one pass: 256 MB


@lru_cache(maxsize=1)  # one model a process
def causal_lm(files: tuple[File, ...], device: str) -> CausalLM:
    """The model of `files`. `UsageError` where transformers cannot load it or torch has no such device."""
    prepare_torch(device)
    from transformers import AutoModelForCausalLM

    folder = folder_of(files)
    try:
        tokenizer = load_tokenizer(folder)
        network = load_weights(AutoModelForCausalLM, folder)
    except Exception as error:  # transformers raises nearly every built-in exception on damaged files
        raise UsageError(
            f"model {str(folder)!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); it has to be a "
            "causal language model with its tokenizer, as `save_pretrained` writes them"
        ) from error
    with told(device, "the weights"):
        return CausalLM(tokenizer, network.to(device), device)


@dataclass(frozen=True)
class CausalLM:
    """Tokenizer and network."""

    tokenizer: Any
    network: Any
    device: str

    @property
    def start(self) -> list[int]:
        """The token that texts begin with: that for a beginning, else the one that ends a text before; maybe none."""
        ids = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return next(([int(each)] for each in ids if each is not None), [])

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, without any that the tokenizer would add."""
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def perplexities(self, texts: Sequence[Sequence[int]], max_tokens: int, batch_size: int) -> list[float | None]:
        """Perplexity per token of each text, by its first `max_tokens` tokens with the start; None below two of them.

        A pass has a shape that depends on each of its texts alone, not on how many there are: a power of two (or
        `max_tokens`) wide, and as many rows for each width, empty ones where texts are lacking. So a text's value is
        the same to the last bit beside whatever others, as measured on a CPU.
        """
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and max_tokens > limit:
            raise UsageError(f"max_tokens is {max_tokens}, but the model has {limit} positions; give at most {limit}")
        rows = [[*self.start, *text][:max_tokens] for text in texts]
        found: list[float | None] = [None] * len(rows)
        by_width: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if len(row) > 1:
                width = min(max_tokens, max(_MIN_WIDTH, 1 << (len(row) - 1).bit_length()))
                by_width.setdefault(width, []).append(place)
        for width, places in sorted(by_width.items()):
            logits = width * int(self.network.config.get_text_config().vocab_size)
            height = max(1, min(batch_size, _MOST_LOGITS // logits))
            for start in range(0, len(places), height):
                chosen = places[start : start + height]
                losses = self._losses([rows[place] for place in chosen], width, height)
                for place, loss in zip(chosen, losses, strict=True):
                    found[place] = math.exp(loss) if loss < math.log(3e38) else None  # beyond float32, or NaN
        return found

    def _losses(self, rows: list[list[int]], width: int, height: int) -> Iterator[float]:
        """Mean of -log P of the tokens of each row after its first."""
        import torch

        padded = torch.zeros((height, width), dtype=torch.long)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = torch.tensor(row)
        with torch.inference_mode(), told(self.device, f"{height} texts of {width} tokens"):
            # No attention mask: a token sees none after it, so the padding behind a text is seen by nothing that
            # counts; with a mask, transformers computes differently where no row has padding.
            logits = self.network(input_ids=padded.to(self.device), use_cache=False).logits
            for place, row in enumerate(rows):
                expected = padded[place, 1 : len(row)].to(self.device)
                # The whole width, and then the part: the shape of a sum changes its last bits.
                log_p = torch.log_softmax(logits[place].float(), dim=-1)[: len(row) - 1]
                chosen = log_p.gather(1, expected[:, None]).double()
                yield float(-chosen.mean())
