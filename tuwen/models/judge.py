"""Judges: models that are shown an image with a question and say something.

A judge is a vision-language model in a folder, read by transformers, or one behind an endpoint that speaks the
chat-completions protocol (vLLM, llama.cpp, SGLang, OpenAI). Nothing is downloaded, no code of a folder runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlsplit

from tuwen.models.checkpoint import content_hash, model_files

if TYPE_CHECKING:
    from PIL import Image

MAX_TOKENS = 48
PASSING = ("failed", "timeout")


@dataclass(frozen=True)
class Reply:
    """What a judge said, or why it said nothing. Exactly one of `text` and `error` is there.

    `error`: empty (no words), refused (the endpoint or the model's preprocessing declined this content), too_long (more
    tokens than the model takes), and where failures are to be marked (`Endpoint.mark_failed`) failed and timeout, which
    may pass. Tokens are None where nobody counted them.
    """

    text: str | None = None
    error: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether asking again would be in vain."""
        return self.error not in PASSING


Keep = Callable[[int, Reply], None]


class Judge(Protocol):
    """One interface to models in a folder and behind an endpoint."""

    def ask(self, images: Sequence[Image.Image], prompts: Sequence[str], keep: Keep | None = None) -> list[Reply]:
        """The reply to each prompt about the image beside it, the same beside whatever others.

        `keep` is given each reply with its place as soon as it is there. What is not a row's fault (no connection, no
        quota, a wrong key, no memory) is a `TuwenError`.
        """


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked by HTTP: POST `base_url`/chat/completions.

    The key comes from the environment variable `key_variable`; without one, none is sent. `concurrency` requests of a
    worker process are under way at once. One that fails for a passing reason (429, 5xx, no answer within `timeout_s`
    seconds, no completion in the answer) is sent again up to `retries` times after `backoff_s` seconds, then twice as
    long each time, or as long as the answer says, at most a minute. If it still fails, the build ends, and the same
    command goes on where it ended; with `mark_failed` the row gets the code failed or timeout instead, unless it is a
    matter of connection or quota. So does an answer of status 400 or the like that names no content that is declined.
    Redirects are not followed.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    base_url: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout_s: float = 60.0
    retries: int = 5
    backoff_s: float = 1.0
    seed: int = 0
    mark_failed: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url must be like https://host/v1, got {self.base_url!r}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("base_url must hold no user, password, query or fragment; keys belong in the environment")
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_variable):
            raise ValueError("key_variable must be the name of an environment variable, in capitals, not a key")
        if self.concurrency < 1 or self.retries < 0 or self.timeout_s <= 0 or self.backoff_s < 0:
            raise ValueError(
                "concurrency must be at least 1, timeout_s above 0, retries and backoff_s at least 0, got "
                f"{self.concurrency}, {self.timeout_s}, {self.retries}, {self.backoff_s}"
            )


def judge(model: str, endpoint: Endpoint | None = None, device: str = "cpu", max_tokens: int = MAX_TOKENS) -> Judge:
    """The judge `model`: behind `endpoint`, or in a folder (or in the local cache of the Hugging Face hub) without.

    `UsageError` where the files are missing or damaged, or torch has no such device.
    """
    if endpoint is not None:
        from tuwen.models.chat_endpoint import ChatEndpoint

        return ChatEndpoint(model, endpoint, max_tokens)
    from tuwen.models.local_judge import LocalJudge, load_local

    return LocalJudge(*load_local(model_files(model), device), device, max_tokens)


def judge_hash(model: str, endpoint: Endpoint | None = None) -> str:
    """Digest of what replies depend on: the files of a folder, or the name of a model at an address."""
    return content_hash(model_files(model)) if endpoint is None else f"{endpoint.base_url.rstrip('/')} {model}"
