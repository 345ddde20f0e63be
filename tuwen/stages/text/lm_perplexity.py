"""How predictable a text is to a causal language model."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tuwen.models.causal_lm import causal_lm
from tuwen.models.checkpoint import content_hash, model_files


@dataclass(frozen=True)
class LmPerplexity:
    """Perplexity of a text under a causal language model that the user has.

    `lm_perplexity`  per token, at least 1: the exponential of the mean of -log P of each token after those before it,
                     behind the model's start token (the one that ends a text, where it has none for the beginning).
                     Null where the text is null or fewer than two tokens, the start counted, are there to score, and
                     where the value is beyond float32. Compare within a language and a model only
    `lm_num_tokens`  tokens of the whole text, without the start; null where the text is null. Where this is
                     `max_tokens` or more, the text was cut: the start and the tokens behind it, `max_tokens` together,
                     are scored

    `model` is a folder with config.json, tokenizer and weights, or a name whose files lie in the local cache of the
    Hugging Face hub; nothing is downloaded. `device` is torch's: cpu, cuda. Memory: the weights as float32 in each
    worker process, and up to 0.6 GB for a pass. `pip install 'tuwen[transformers]'` brings what it needs. A model that
    is not there or does not load ends the build before anything is computed, or at the first text.

    POINTS keeps the fifth of texts with the lowest perplexity: https://arxiv.org/abs/2409.04828, section 2.3. It suits
    texts from 20 tokens or so; a short one is surprising whatever it says. **Differs from the paper:** the model is
    yours to name, and texts are cut at `max_tokens`.
    """

    table = "pairs"
    reads = ("text",)
    writes = pa.schema([("lm_perplexity", pa.float32()), ("lm_num_tokens", pa.int32())])

    model: str
    device: str = "cpu"
    batch_size: int = 16
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must name a folder or a model of the Hugging Face hub, got ''")
        if self.batch_size < 1 or self.max_tokens < 2:
            raise ValueError(f"batch_size must be at least 1 and max_tokens at least 2, got {self}")

    def model_hash(self) -> str:
        """SHA-256 of configuration, tokenizer and weights."""
        return content_hash(model_files(self.model))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = batch["text"].cast(pa.string()).dictionary_encode()
        lm = causal_lm(model_files(self.model), self.device)
        tokens = lm.tokens(texts.dictionary.to_pylist())
        perplexities = lm.perplexities(tokens, self.max_tokens, self.batch_size)
        columns = [pa.array(perplexities, pa.float32()), pa.array([len(found) for found in tokens], pa.int32())]
        return pa.record_batch([column.take(texts.indices) for column in columns], schema=self.writes)
