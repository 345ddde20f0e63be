"""Judges: models in a folder, and models behind an endpoint that does what endpoints do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import vlm
from PIL import Image

from tuwen.errors import TuwenError, UsageError
from tuwen.models.judge import Endpoint, Reply, judge, judge_hash
from tuwen.models.reply_cache import ReplyCache, question

RED, BLUE = (Image.new("RGB", (60, 40), colour) for colour in ("red", "blue"))
TEXTS = ["a red fox", "图文语料", "نافذة <image> </s>", "<|image_pad|><|vision_start|>"]


@pytest.fixture(scope="module", params=sorted(vlm.MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(vlm.MODELS[request.param](tmp_path_factory.mktemp("vlm")))


def endpoint(server: vlm.ChatServer, **options: Any) -> Endpoint:
    return Endpoint(server.url, **{"backoff_s": 0.01, "retries": 2, "timeout_s": 5.0, **options})


def ask(server: vlm.ChatServer, prompts: list[str], **options: Any) -> list[Reply]:
    return judge("m", endpoint(server, **options)).ask([RED] * len(prompts), prompts)


def test_a_local_model_replies_to_image_and_text(model: str) -> None:
    judged = judge(model, max_tokens=4)
    replies = judged.ask([RED] * 4 + [BLUE], [*TEXTS, TEXTS[0]])
    assert all(reply.tokens_in and reply.tokens_out == 4 for reply in replies)
    assert len({reply.text for reply in replies}) > 3 and replies[0] != replies[4]
    kept: list[Any] = []
    again = judged.ask([BLUE, RED], [TEXTS[0], TEXTS[0]], lambda *reply: kept.append(reply))
    assert again == [replies[4], replies[0]] and kept == list(enumerate(again))


def test_too_many_tokens_are_the_rows_fault(tmp_path: Path) -> None:
    (reply,) = judge(str(vlm.llava(tmp_path))).ask([RED], ["x" * 5_000])
    assert reply.error == "too_long" and reply.text is None


def test_an_image_that_preprocessing_declines_is_the_rows_fault(tmp_path: Path) -> None:
    judged = judge(str(vlm.qwen2_vl(tmp_path)), max_tokens=2)
    replies = judged.ask([Image.new("RGB", (900, 2)), RED], ["a", "b"])
    assert replies[0] == Reply(error="refused") and replies[1].tokens_out == 2


def test_models_that_do_not_load(tmp_path: Path) -> None:
    folder = vlm.llava(tmp_path / "model")
    first = judge_hash(str(folder))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content[1].text }}")
    with pytest.raises(UsageError, match="leaves images out"):
        judge(str(folder))
    (folder / "chat_template.jinja").unlink()
    assert judge_hash(str(folder)) != first
    with pytest.raises(UsageError, match="no chat template"):
        judge(str(folder))
    (folder / "processor_config.json").write_text("{broken")
    with pytest.raises(UsageError, match="cannot be loaded"):
        judge(str(folder))
    with pytest.raises(UsageError, match="neither a folder nor in the local cache"):
        judge(str(tmp_path / "nothing"))


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "abc")
    with vlm.ChatServer(lambda asked: f"{asked.text}: {asked.image.getpixel((5, 5))}") as server:
        replies = judge("m", endpoint(server, seed=7), max_tokens=9).ask([RED, BLUE], ["图", "b"])
        sent = server.asked[0]
        monkeypatch.delenv("OPENAI_API_KEY")
        ask(server, ["c"])
        monkeypatch.setenv("OPENAI_API_KEY", "a\nb")
        with pytest.raises(UsageError, match="no header"):
            ask(server, ["c"])
    assert [reply.text for reply in replies] == ["图: (254, 0, 0)", "b: (0, 0, 254)"]
    assert (replies[0].tokens_in, replies[0].tokens_out) == (300, 5)
    assert {name: sent.body[name] for name in ("model", "temperature", "seed", "max_tokens")} == {
        "model": "m",
        "temperature": 0,
        "seed": 7,
        "max_tokens": 9,
    }
    assert sent.headers["Authorization"] == "Bearer abc" and "Authorization" not in server.asked[-1].headers


def test_many_at_once_and_in_order() -> None:
    with vlm.ChatServer(lambda asked: asked.text, slow_s=0.02) as server:
        replies = ask(server, [str(number) for number in range(20)], concurrency=5)
    assert [reply.text for reply in replies] == [str(number) for number in range(20)]
    assert 1 < server.most_at_once <= 5


def failing(times: int, status: int, content: Any = b"busy", **headers: str) -> Callable[[vlm.Asked], Any]:
    """So many failures for each question, then a reply."""
    seen: Counter[str] = Counter()

    def rule(asked: vlm.Asked) -> Any:
        seen[asked.text] += 1
        return (status, content, headers) if seen[asked.text] <= times else "score: 7"

    return rule


@pytest.mark.parametrize(
    ("status", "content"),
    [(429, b"slow down"), (500, b"oops"), (503, b""), (200, b"<html>"), (200, {"choices": []}), (200, b"[" * 5_000)],
)
def test_passing_failures_are_tried_again(status: int, content: Any) -> None:
    with vlm.ChatServer(failing(2, status, content)) as server:
        assert [reply.text for reply in ask(server, ["a", "b"])] == ["score: 7"] * 2
        assert len(server.asked) == 6


def test_a_wait_that_is_asked_for_is_kept() -> None:
    with vlm.ChatServer(failing(1, 429, **{"Retry-After": "1"})) as server:
        started = time.monotonic()
        ask(server, ["a"])
    assert time.monotonic() - started >= 1


def test_failures_that_stay_end_the_build_and_keep_what_was_replied() -> None:
    with vlm.ChatServer(lambda asked: (500, b"oops", {}) if asked.text == "7" else "score: 7") as server:
        kept: dict[int, Reply] = {}
        prompts = [str(number) for number in range(30)]
        with pytest.raises(TuwenError, match=r"still fails after 2 retries \(HTTP 500: oops\).*mark_failed"):
            judge("m", endpoint(server, concurrency=2)).ask([RED] * 30, prompts, kept.__setitem__)
        assert set(range(7)) <= set(kept) and 7 not in kept and len(kept) < 30
        replies = ask(server, prompts, mark_failed=True)
        assert [reply.error for reply in replies] == [None] * 7 + ["failed"] + [None] * 22
        assert not replies[7].is_final and replies[0].is_final


def test_slow_ones_and_those_that_are_not_there() -> None:
    with vlm.ChatServer(lambda asked: "score: 7", slow_s=0.4) as server:
        options = {"timeout_s": 0.1, "retries": 1}
        with pytest.raises(TuwenError, match=r"no answer within 0\.1 s"):
            ask(server, ["a"], **options)
        assert ask(server, ["a"], mark_failed=True, **options)[0].error == "timeout"
    with pytest.raises(TuwenError, match="no connection"):
        ask(server, ["a"], mark_failed=True, **options)  # never a row's fault
    with vlm.ChatServer(failing(99, 429)) as server, pytest.raises(TuwenError, match="HTTP 429"):
        ask(server, ["a"], mark_failed=True)


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (400, {"error": {"code": "content_policy_violation"}}, "refused"),
        (400, {"error": {"message": "Invalid image data"}}, "refused"),
        (413, b"", "refused"),
        (400, {"error": {"message": "This model's maximum context length is 4096 tokens"}}, "too_long"),
        (200, vlm.completion("I", finish_reason="content_filter"), "refused"),
        (200, vlm.completion(""), "empty"),
        (200, vlm.completion(None), "empty"),
    ],
)
def test_what_is_of_the_row(status: int, content: Any, error: str) -> None:
    with vlm.ChatServer(lambda asked: (status, content, {})) as server:
        assert ask(server, ["a"])[0].error == error
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_what_is_of_the_request(status: int) -> None:
    with vlm.ChatServer(lambda asked: (status, {"error": "nope"}, {"Location": "http://127.0.0.1:1/"})) as server:
        with pytest.raises(UsageError, match=f"HTTP {status}.*nope.*check base_url, model and the key"):
            ask(server, ["a"])
        assert len(server.asked) == 1


def test_an_endless_answer_is_not_read() -> None:
    with (
        vlm.ChatServer(lambda asked: (200, b" " * (3 << 20), {})) as server,
        pytest.raises(TuwenError, match="more than"),
    ):
        ask(server, ["a"], retries=0)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "ftp://a.test"},
        {"base_url": "https://user:secret@a.test/v1"},
        {"base_url": "https://a.test/v1?key=1"},
        {"key_variable": "sk-abc"},
        {"concurrency": 0},
        {"timeout_s": 0},
    ],
)
def test_settings(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Endpoint(**{"base_url": "https://a.test/v1", **options})


def test_replies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    first, second, third = (question(b"image", number) for number in range(3))
    with ReplyCache(path) as cache, ReplyCache(path) as other:
        assert cache.get([first]) == {}
        cache.put(first, Reply("图", None, 3, None), 0.5)
        other.put(second, Reply(error="refused"), 0.1)
        cache.put(third, Reply(error="timeout"), 0.1)  # may pass
    with ReplyCache(path) as cache:
        found = cache.get([first, second, third])
    assert found == {first: (Reply("图", None, 3, None), 0.5), second: (Reply(error="refused"), 0.1)}
    assert question("ab", "c") != question("a", "bc")
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(TuwenError, match="delete it"), ReplyCache(path):
        pass
    with ReplyCache(None) as cache:
        cache.put(first, Reply("a"), 0.1)
        assert cache.get([first]) == {}
