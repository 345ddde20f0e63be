"""A model that the user has, as a folder of files: which they are, what they hold, and how loading them goes wrong.

Nothing is downloaded, no code of a folder runs, and weights in pickles are read as data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuwen.errors import TuwenError, UsageError, missing_extra

_WEIGHTS = (".safetensors", ".bin")
_SUFFIXES = (".json", ".txt", ".model", ".jinja", *_WEIGHTS)  # configuration, preprocessing, tokenizer, weights
OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # for every `from_pretrained`

File = tuple[str, int, int]  # path, size, time of change


def model_files(model: str, configurations: tuple[str, ...] = ("config.json",)) -> tuple[File, ...]:
    """The files that make `model`, a folder or a name in the local cache of the Hugging Face hub, by name.

    `UsageError` where it is neither, or has none of the `configurations`, or no weights.
    """
    folder = Path(model) if Path(model).is_dir() else _cached(model)
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if not any(path.name in configurations for path in files):
        expected = " or ".join(configurations)
        raise UsageError(f"model {model!r} has no {expected}; name a folder that `save_pretrained` wrote")
    if not any(path.suffix in _WEIGHTS for path in files):
        raise UsageError(f"model {model!r} has no weights ({' or '.join('*' + each for each in _WEIGHTS)}); add them")
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def folder_of(files: tuple[File, ...]) -> Path:
    """Where the files of a model lie."""
    return Path(files[0][0]).parent


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


def prepare_torch(device: str) -> None:
    """Have torch compute on one thread. `TuwenError` where it or transformers is not installed, `UsageError` where it
    has no such device."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError:
        raise missing_extra("transformers", "torch or transformers") from None
    torch.set_num_threads(1)  # processes are the parallelism
    try:
        torch.empty(1, device=device)
    except Exception as error:
        raise UsageError(f"device {device!r} cannot be used ({first_line(error)}); try cpu") from error


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of `folder`. Raises whatever transformers does, and `ValueError` where its files are missing."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), **OFFLINE)
    names = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((folder / name).is_file() for name in names):  # transformers makes up one without a vocabulary
        raise ValueError(f"it has no tokenizer ({' or '.join(sorted(names))})")
    return tokenizer


def load_weights(auto: Any, folder: Path) -> Any:
    """The network of `folder` in float32, by the class `auto` of transformers, for inference.

    Raises whatever transformers does, and `ValueError` where weights are missing.
    """
    import torch

    with _quiet():
        network, info = auto.from_pretrained(str(folder), dtype=torch.float32, output_loading_info=True, **OFFLINE)
    if missing := sorted(info["missing_keys"]):  # transformers fills them with random numbers
        raise ValueError(f"it lacks {len(missing)} weights, among them {missing[0]}")
    return network.eval()


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
def told(device: str, what: str) -> Iterator[None]:
    """Inputs are well formed, so what torch raises (no memory, a lost device) is never a row's fault."""
    try:
        yield
    except RuntimeError as error:
        raise TuwenError(
            f"device {device!r} fails at {what} ({first_line(error)}); if it is the memory, take a smaller model, "
            "batch_size or max_tokens"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [""])[0]
