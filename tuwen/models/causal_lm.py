"""A causal language model that the user has, as a folder that transformers reads, and how it finds texts.

Weights are read as float32. Nothing is downloaded, no code of the folder runs, and weights in pickles are read as data.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuwen.errors import TuwenError, UsageError, missing_extra

_WEIGHTS = (".safetensors", ".bin")
_SUFFIXES = (".json", ".txt", ".model", ".jinja", *_WEIGHTS)  # configuration, tokenizer, weights
_MIN_WIDTH = 16
_MOST_LOGITS = 1 << 26  # of one pass: 256 MB

File = tuple[str, int, int]  # path, size, time of change


def model_files(model: str) -> tuple[File, ...]:
    """The files that make `model`, a folder or a name in the local cache of the Hugging Face hub, by name.

    `UsageError` where it is neither, or lacks its configuration or weights.
    """
    folder = Path(model) if Path(model).is_dir() else _cached(model)
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if not any(path.name == "config.json" for path in files):
        raise UsageError(f"model {model!r} has no config.json; name a folder that `save_pretrained` wrote")
    if not any(path.suffix in _WEIGHTS for path in files):
        raise UsageError(f"model {model!r} has no weights ({' or '.join('*' + each for each in _WEIGHTS)}); add them")
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _cached(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise missing_extra("transformers", "transformers") from None
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # not in the cache; no name
        raise UsageError(
            f"model {name!r} is neither a folder nor in the local cache of the Hugging Face hub, and nothing is "
            "downloaded here; name a folder with config.json, tokenizer and weights, or get it first with `hf download`"
        ) from None


@lru_cache(maxsize=8)
def content_hash(files: tuple[File, ...]) -> str:
    """SHA-256 over names and bytes of `files`; computed once while sizes and times stay."""
    whole = hashlib.sha256()
    for path, _, _ in files:
        with Path(path).open("rb") as stream:
            whole.update(Path(path).name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


@lru_cache(maxsize=1)  # one model a process
def causal_lm(files: tuple[File, ...], device: str) -> CausalLM:
    """The model of `files`. `UsageError` where transformers cannot load it or torch has no such device."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise missing_extra("transformers", "torch or transformers") from None
    torch.set_num_threads(1)  # processes are the parallelism
    try:
        torch.empty(1, device=device)
    except Exception as error:
        raise UsageError(f"device {device!r} cannot be used ({_first_line(error)}); try cpu") from error
    folder = str(Path(files[0][0]).parent)
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        with _quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, **options
            )
        network, info = loaded
        if missing := sorted(info["missing_keys"]):  # transformers fills them with random numbers
            raise ValueError(f"it lacks {len(missing)} weights, among them {missing[0]}")
    except Exception as error:  # transformers raises nearly every built-in exception on damaged files
        raise UsageError(
            f"model {folder!r} cannot be loaded ({type(error).__name__}: {_first_line(error)}); it has to be a causal "
            "language model with its tokenizer, as `save_pretrained` writes them"
        ) from error
    network = network.eval()
    with _told(device, "the weights"):
        return CausalLM(tokenizer, network.to(device), device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bar of transformers, which would tear that of a build."""
    import transformers

    logging: Any = transformers.utils.logging
    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            logging.enable_progress_bar()


@contextmanager
def _told(device: str, what: str) -> Iterator[None]:
    """Tokens are well formed, so what torch raises (no memory, a lost device) is never a row's fault."""
    try:
        yield
    except RuntimeError as error:
        raise TuwenError(
            f"device {device!r} fails at {what} ({_first_line(error)}); if it is the memory, take a smaller model, "
            "batch_size or max_tokens"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


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
        with torch.inference_mode(), _told(self.device, f"{height} texts of {width} tokens"):
            # No attention mask: a token sees none after it, so the padding behind a text is seen by nothing that
            # counts; with a mask, transformers computes differently where no row has padding.
            logits = self.network(input_ids=padded.to(self.device), use_cache=False).logits
            for place, row in enumerate(rows):
                expected = padded[place, 1 : len(row)].to(self.device)
                # The whole width, and then the part: the shape of a sum changes its last bits.
                log_p = torch.log_softmax(logits[place].float(), dim=-1)[: len(row) - 1]
                chosen = log_p.gather(1, expected[:, None]).double()
                yield float(-chosen.mean())
