"""A judge by transformers: any checkpoint of `AutoModelForImageTextToText` (LLaVA, Qwen2-VL, SmolVLM, …).

Images are preprocessed with Pillow; torchvision is not needed. Weights are read as float32. Each question is a pass of
its own and the most probable token is taken each time, so a reply never depends on other rows; another machine or
version of torch may round differently, and so answer differently where two tokens are nearly as probable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuwen.errors import UsageError
from tuwen.models.checkpoint import OFFLINE, File, first_line, folder_of, load_weights, prepare_torch, told
from tuwen.models.judge import Keep, Reply

if TYPE_CHECKING:
    from PIL import Image


@lru_cache(maxsize=1)  # one model a process
def load_local(files: tuple[File, ...], device: str) -> tuple[Any, Any]:
    """Network and processor of a checkpoint. `UsageError` where they do not load."""
    prepare_torch(device)
    from transformers import AutoModelForImageTextToText

    folder = folder_of(files)
    try:
        processor = _processor(folder)
        if not getattr(processor, "chat_template", None):
            raise ValueError("it has no chat template, so it was not trained to answer questions")
        if str(getattr(processor, "image_token", "")) not in _asked(processor, "?"):
            raise ValueError("its chat template leaves images out")
        network = load_weights(AutoModelForImageTextToText, folder)
    except Exception as error:  # transformers raises nearly every built-in exception on damaged files
        raise UsageError(
            f"model {str(folder)!r} cannot be loaded ({type(error).__name__}: {first_line(error)}); it has to be a "
            "vision-language model with its processor and chat template, as `save_pretrained` writes them"
        ) from error
    with told(device, "the weights"):
        return network.to(device), processor


@dataclass(frozen=True)
class LocalJudge:
    """A `Judge` around the network and processor of a checkpoint."""

    network: Any
    processor: Any
    device: str
    max_tokens: int

    def ask(self, images: Sequence[Image.Image], prompts: Sequence[str], keep: Keep | None = None) -> list[Reply]:
        """One pass after the other."""
        replies: list[Reply] = []
        for image, prompt in zip(images, prompts, strict=True):
            replies.append(self._reply(image, prompt))
            if keep is not None:
                keep(len(replies) - 1, replies[-1])
        return replies

    def _reply(self, image: Image.Image, prompt: str) -> Reply:
        import torch

        asked = _asked(self.processor, _plain(prompt, self._control_words()))
        try:
            inputs = self.processor(images=[image], text=[asked], return_tensors="pt").to(self.device)
        except ValueError:  # such as Qwen2-VL's, of images that are 200 times as long as wide
            return Reply(error="refused")
        width = int(inputs["input_ids"].shape[1])
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and width + self.max_tokens > limit:
            return Reply(error="too_long", tokens_in=width)
        with torch.inference_mode(), told(self.device, f"an image with {width} tokens"):
            output = self.network.generate(
                **inputs, max_new_tokens=self.max_tokens, do_sample=False, num_beams=1, pad_token_id=self._pad()
            )
        new = output[0, width:]
        text = self.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
        return Reply(text or None, None if text else "empty", width, len(new))

    def _control_words(self) -> set[str]:
        tokenizer = self.processor.tokenizer
        return {*tokenizer.all_special_tokens, *(str(word) for word in tokenizer.get_added_vocab())}

    def _pad(self) -> Any:
        tokenizer = self.processor.tokenizer
        return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def _asked(processor: Any, prompt: str) -> str:
    """What the model is to go on with: an image, the prompt, and the beginning of its turn."""
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    return str(processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True))


def _plain(prompt: str, words: Iterable[str]) -> str:
    """The prompt with each word that the model would take for a control token (an image, a turn) broken by a space."""
    for word in sorted(filter(lambda word: len(word) > 1, words)):
        prompt = prompt.replace(word, f"{word[0]} {word[1:]}")
    return prompt


def _processor(folder: Path) -> Any:
    from transformers import AutoConfig, AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    options = {"backend": "pil", **OFFLINE}
    kind: Any = PROCESSOR_MAPPING.get(type(AutoConfig.from_pretrained(str(folder), **OFFLINE)), None)
    if kind is None or "video_processor" not in kind.get_attributes():
        auto: Any = AutoProcessor  # which has no types
        return auto.from_pretrained(str(folder), **options)
    # One that also takes films would load their part, which needs torchvision; images do without.
    names = [name for name in kind.get_attributes() if name != "video_processor"]
    of_images: Any = type(kind.__name__, (kind,), {"get_attributes": classmethod(lambda cls: names)})
    return of_images.from_pretrained(str(folder), **options)
