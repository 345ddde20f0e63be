"""Tiny vision-language models with random weights, and an endpoint that serves rules as if they were models."""

from __future__ import annotations

import base64
import io
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from PIL import Image

_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}assistant:"
)
_TOWER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def llava(folder: Path) -> Path:
    """LLaVA: a CLIP tower of 16 patches and a Llama over bytes."""
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _bytes(["<image>"])
    text = LlamaConfig(**_TOWER, num_key_value_heads=2, max_position_embeddings=4096, **_ends(tokenizer))
    vision = CLIPVisionConfig(**_TOWER, image_size=16, patch_size=4)
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_id=len(tokenizer) - 1, image_seq_length=16)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        chat_template=_TEMPLATE.replace("IMAGE", "<image>"),
        num_additional_image_tokens=1,
    )
    _network(LlavaForConditionalGeneration, config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def qwen2_vl(folder: Path) -> Path:
    """Qwen2-VL, whose processor would also take films."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessorPil

    words = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _bytes(words)
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(words), strict=True))
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    text = {**_TOWER, "num_key_value_heads": 2, "rope_parameters": rope, **_ends(tokenizer)}
    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 14, "mlp_ratio": 2}
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
    _network(Qwen2VLForConditionalGeneration, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 16).save_pretrained(folder)
    template = _TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    (folder / "chat_template.jinja").write_text(template)
    return folder


MODELS: dict[str, Callable[[Path], Path]] = {"llava": llava, "qwen2_vl": qwen2_vl}


def _network(kind: Any, config: Any) -> Any:
    import torch

    torch.manual_seed(0)
    network = kind(config)
    for weights in network.parameters():  # larger than they start, so that inputs make a difference
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.3)
    return network


def _bytes(words: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    ends = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends, additional_special_tokens=words)


def _ends(tokenizer: Any) -> dict[str, int]:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {"vocab_size": len(tokenizer), **{name: getattr(tokenizer, name) for name in names}}


@dataclass
class Asked:
    """One request as the endpoint saw it."""

    body: dict[str, Any]
    headers: dict[str, str]
    image: Image.Image
    text: str


Answer = tuple[int, Any, dict[str, str]]  # status, JSON (or bytes, or words of the model), headers


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that are gone are no news."""


@dataclass
class ChatServer:
    """A chat-completions endpoint on loopback. `rule` makes of each request words, or a whole answer."""

    rule: Callable[[Asked], str | Answer]
    asked: list[Asked] = field(default_factory=list)
    slow_s: float = 0.0
    name: str = field(default_factory=lambda: secrets.token_hex(4))  # of the model: no two servers share replies
    most_at_once: int = 0

    def __enter__(self) -> Self:
        served, lock = self, threading.Lock()
        busy = [0]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                image, words = body["messages"][0]["content"]
                data = base64.b64decode(image["image_url"]["url"].partition(",")[2])
                request = Asked(body, dict(self.headers), Image.open(io.BytesIO(data)), words["text"])
                with lock:
                    served.asked.append(request)
                    busy[0] += 1
                    served.most_at_once = max(served.most_at_once, busy[0])
                time.sleep(served.slow_s)
                answer = served.rule(request)
                with lock:
                    busy[0] -= 1
                self._send(*((200, completion(answer), {}) if isinstance(answer, str) else answer))

            def _send(self, status: int, content: Any, headers: dict[str, str]) -> None:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(data)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # nobody waits any more
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """`base_url` for an endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"


def completion(words: str | None, tokens_in: int = 300, tokens_out: int = 5, **choice: Any) -> dict[str, Any]:
    """What an endpoint answers."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    message = {"role": "assistant", "content": words}
    return {"choices": [{"message": message, "finish_reason": "stop", **choice}], "usage": usage}
