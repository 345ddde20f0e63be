"""A judge behind an endpoint of the chat-completions protocol.

Protocol: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tuwen.errors import TuwenError, UsageError
from tuwen.models.judge import Endpoint, Keep, Reply

if TYPE_CHECKING:
    import aiohttp
    from PIL import Image

_HOSTS = {"OPENAI_API_KEY": "api.openai.com"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST_WAIT_S = 60.0
_MOST_BYTES = 1 << 20  # of an answer
_OF_CONTENT = (400, 413, 415, 422)  # what an endpoint says of content that it does not take, and of much else
_LENGTH = re.compile(r"context.?length|maximum context|too long|too many tokens", re.IGNORECASE)
_CONTENT = re.compile(
    r"content.?(filter|policy|management)|safety|moderation|inappropriate|data_inspection|"
    r"(invalid|unsupported|broken|corrupt\w*|decode|load).{0,20}image|"
    r"image.{0,20}(invalid|unsupported|decode|too small)",
    re.IGNORECASE,
)
_OF_ALL = ("connection", "quota")  # failures that are never a row's
_PASSING = (408, 409, 425, 429)
_QUALITY = 90  # of the JPEG that is sent


@dataclass(frozen=True)
class ChatEndpoint:
    """A `Judge` that asks over HTTP, several questions at once, at temperature 0 and with a fixed seed.

    Whether equal questions get equal replies is up to the endpoint.
    """

    model: str
    settings: Endpoint
    max_tokens: int

    def ask(self, images: Sequence[Image.Image], prompts: Sequence[str], keep: Keep | None = None) -> list[Reply]:
        """After the first failure that outlives its retries, only what is under way is waited for."""
        try:
            return _run(self._ask_all(images, prompts, keep))
        except _Again as error:
            hint = "" if error.kind in _OF_ALL else ", or set mark_failed: true to mark such rows"
            raise TuwenError(
                f"{self.settings.base_url} still fails after {self.settings.retries} retries ({error}); what it has "
                f"replied is kept: see that it answers and run the same command{hint}"
            ) from error

    async def _ask_all(self, images: Sequence[Image.Image], prompts: Sequence[str], keep: Keep | None) -> list[Reply]:
        import aiohttp

        waiting = iter(enumerate(zip(images, prompts, strict=True)))
        replies: dict[int, Reply] = {}
        failures: list[Exception] = []

        async def work(session: aiohttp.ClientSession) -> None:
            while not failures and (asked := next(waiting, None)) is not None:
                place, (image, prompt) = asked
                try:
                    replies[place] = await self._reply(session, self._body(image, prompt), failures)
                except (_Again, TuwenError) as error:
                    failures.append(error)
                else:
                    if keep is not None:
                        keep(place, replies[place])

        width = min(self.settings.concurrency, max(1, len(prompts)))
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout_s)
        connector = aiohttp.TCPConnector(limit=width)
        async with aiohttp.ClientSession(headers=self._headers(), timeout=timeout, connector=connector) as session:
            await asyncio.gather(*(work(session) for _ in range(width)))
        if failures:
            raise failures[0]
        return [replies[place] for place in range(len(prompts))]

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.settings.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(
                f"the key in {self.settings.key_variable} holds characters that no header may; set it anew"
            )
        if key:
            self._check_host()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _check_host(self) -> None:
        """A recipe names both the variable and the host; only the user can say that the one is for the other."""
        variable, host = self.settings.key_variable, urlsplit(self.settings.base_url).hostname
        meant = os.environ.get(f"{variable}_HOST", _HOSTS.get(variable))
        if host not in (meant, *_LOOPBACK):
            raise UsageError(
                f"the recipe would send the key in {variable} to {host}, and it is meant for {meant or 'no host yet'}; "
                f"if you trust that host: export {variable}_HOST={host}"
            )

    def _body(self, image: Image.Image, prompt: str) -> dict[str, Any]:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        url = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "seed": self.settings.seed,
            "max_tokens": self.max_tokens,
        }

    async def _reply(self, session: aiohttp.ClientSession, body: dict[str, Any], failures: list[Exception]) -> Reply:
        """The reply, by as many attempts as are allowed while no other question has failed for good."""
        wait_s = self.settings.backoff_s
        for attempt in range(self.settings.retries + 1):
            try:
                return await self._attempt(session, body)
            except _Again as error:
                if failures:
                    raise
                if attempt == self.settings.retries:
                    if self.settings.mark_failed and error.kind not in _OF_ALL:
                        return Reply(error=error.kind)
                    raise
                await asyncio.sleep(min(_LONGEST_WAIT_S, max(wait_s, error.after_s)))
                wait_s *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> Reply:
        import aiohttp

        url = f"{self.settings.base_url.rstrip('/')}/chat/completions"
        try:
            async with session.post(url, json=body, allow_redirects=False) as answer:
                data = await _limited(answer)
                status, after = answer.status, answer.headers.get("Retry-After", "")
        except TimeoutError as error:
            raise _Again("timeout", f"no answer within {self.settings.timeout_s:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise _Again("connection", f"no connection: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Again("failed", f"{type(error).__name__}: {error}") from error
        if status == 200:
            return _read(data)
        if status in _PASSING or status >= 500:
            kind = "quota" if status == 429 else "timeout" if status in (408, 504) else "failed"
            raise _Again(kind, f"HTTP {status}: {_said(data)}", float(after) if after.isdecimal() else 0.0)
        if status in _OF_CONTENT and (declined := self._declined(status, data)) is not None:
            return declined
        key = self.settings.key_variable
        raise UsageError(f"{url} answers HTTP {status}: {_said(data)}; check base_url, model and the key in {key}")

    def _declined(self, status: int, data: bytes) -> Reply | None:
        """What 400 and its like say of this content; None where they may be about every request."""
        words = _said(data, 2000)
        if _LENGTH.search(words):
            return Reply(error="too_long")
        if status == 413 or _CONTENT.search(words):
            return Reply(error="refused")
        return Reply(error="failed") if self.settings.mark_failed else None


class _Again(Exception):
    """A failure that may pass. `kind`: connection, quota, failed, timeout."""

    def __init__(self, kind: str, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.kind, self.after_s = kind, after_s


async def _limited(answer: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in answer.content.iter_chunked(1 << 16):
        data += part
        if len(data) > _MOST_BYTES:
            raise _Again("failed", f"an answer of more than {_MOST_BYTES} bytes")
    return bytes(data)


def _read(data: bytes) -> Reply:
    """The reply in an answer of status 200."""
    try:
        answer = json.loads(data)
        choice = answer["choices"][0]
        message = choice["message"]
        content, usage = message.get("content"), answer.get("usage") or {}
        counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _Again("failed", f"an answer that is no chat completion: {_said(data)}") from error
    if isinstance(content, list):  # of parts
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    tokens_in, tokens_out = (count if isinstance(count, int) else None for count in counts)
    if choice.get("finish_reason") == "content_filter" or (message.get("refusal") and not content):
        return Reply(None, "refused", tokens_in, tokens_out)
    if not isinstance(content, str) or not content.strip():
        return Reply(None, "empty", tokens_in, tokens_out)
    return Reply(content.strip(), None, tokens_in, tokens_out)


def _said(data: bytes, most: int = 200) -> str:
    """The first words of an answer, for people."""
    return " ".join(data[:2000].decode("utf-8", "replace").split())[:most] or "nothing"


def _run(work: Coroutine[Any, Any, list[Reply]]) -> list[Reply]:
    """Run a coroutine to its end; in a notebook, where a loop is running already, in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
