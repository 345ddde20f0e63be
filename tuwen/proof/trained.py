"""A trained network as evaluations call it: images and texts to vectors, images to captions, texts to likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuwen.errors import UsageError
from tuwen.models.features import Features
from tuwen.models.image_tokenizer import Codebook
from tuwen.models.masked_decoding import decoded
from tuwen.models.network import Network
from tuwen.models.sequences import Piece
from tuwen.objectives.next_token import losses_of

BATCH = 256
Floats = NDArray[np.float32]


class Trained:
    """A network with its tokenizer, only to be read."""

    def __init__(self, network: Network) -> None:
        self.network = network.eval()

    def images(self, images: NDArray[np.uint8]) -> Floats:
        """(N, dim), of length 1, of uint8 images (N, side, side, 3)."""
        return self.computed("image.embedding", image=images)

    def texts(self, texts: Sequence[str]) -> Floats:
        """(N, dim), of length 1."""
        return self.computed("text.embedding", text=list(texts))

    def image_features(self, images: NDArray[np.uint8]) -> Floats:
        """(N, width): what the image tower gives before any projection, for probes."""
        return self.computed("image.pooled", image=images)

    def computed(self, name: str, **columns: Any) -> Floats:
        """A feature of columns, whose first dimension is that of their rows; `UsageError` where these have no rows."""
        number = len(next(iter(columns.values())))
        if not number:
            raise UsageError(f"there is no example to compute {name} of: the evaluation chooses none of the test")
        parts = []
        with torch.inference_mode():
            for start in range(0, number, BATCH):
                batch = {key: values[start : start + BATCH] for key, values in columns.items()}
                parts.append(Features(batch, self.network)[name].float().cpu().numpy())
        return np.concatenate(parts)

    def log_likelihoods(self, sequences: Sequence[Sequence[Piece]], *, closed: bool = True) -> Floats:
        """Sum of log P of the learnt tokens of each sequence (N,), in nats; `closed`: with that of its end. It is -inf
        where they do not all fit into the context: a part would be likelier than the whole. `UsageError` where there
        is no sequence."""
        if not sequences:
            raise UsageError("there is no sequence to compute a likelihood of: the evaluation chooses none of the test")
        found = []
        with torch.inference_mode():
            for start in range(0, len(sequences), BATCH):
                tokens = self.network.sequence_tokens(sequences[start : start + BATCH], closed)
                losses = losses_of(Features({"sequence": tokens}, self.network), "sequence")
                sums = -losses.float().sum(1)
                found.append(sums.masked_fill(~tokens.whole, -torch.inf).cpu().numpy())
        return np.concatenate(found)

    def continued(
        self,
        prefixes: Sequence[Sequence[Piece]],
        *,
        tokens: int,
        choose: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits.argmax(-1),
        room: int = 0,
    ) -> list[list[int]]:
        """Up to so many `tokens` behind each prefix, one after the other; `choose` takes logits (N, tokens). `room`:
        tokens of the context that prefixes leave free."""
        found: list[list[int]] = []
        for start in range(0, len(prefixes), BATCH):
            found += self._continued(list(prefixes[start : start + BATCH]), tokens, choose, room)
        return found

    def _continued(
        self, prefixes: list[Sequence[Piece]], tokens: int, choose: Callable[[torch.Tensor], torch.Tensor], room: int
    ) -> list[list[int]]:
        network = self.network
        end = network.vocabulary.end
        lengths = {len(row) for row in prefixes}
        assert lengths, "no prefixes"
        with torch.inference_mode():
            known = network.sequence_tokens(prefixes, closed=False, room=room)
            last = (known.ids != end).long() * torch.arange(known.ids.shape[1], device=known.ids.device)
            place = last.argmax(1)
            ids = torch.nn.functional.pad(known.ids, (0, tokens), value=end)
            rows = torch.arange(len(ids), device=ids.device)
            done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
            new: list[list[int]] = [[] for _ in prefixes]
            for _ in range(tokens):
                width = int(place.max()) + 1
                known.ids = ids[:, :width]
                features = Features({"sequence": known}, network)
                states = features["sequence.states"][rows, place]
                chosen = choose(network.next_tokens(states).float())
                done |= chosen == end
                for row in (~done).nonzero()[:, 0].tolist():
                    new[row].append(int(chosen[row]))
                if bool(done.all()):
                    break
                place = place + (~done)
                ids[rows[~done], place[~done]] = chosen[~done]
        return new

    def captions(self, images: NDArray[np.uint8], *, tokens: int = 32, prompt: str = "") -> list[str]:
        """A caption of each image, the likeliest token each time."""
        begun = [Piece(prompt)] if prompt else []
        rows = self.continued([[Piece(image), *begun] for image in images], tokens=tokens)
        size = len(self.network.tokenizer)
        texts = [[token for token in row if token < size] for row in rows]
        return [self.network.tokenizer.decode(row, skip_special_tokens=True).strip() for row in texts]

    def drawings(self, texts: Sequence[str], *, temperature: float = 1.0, seed: int = 0) -> NDArray[np.uint8]:
        """An image (N, side, side, 3) of each text, its codes drawn one after the other by their probabilities."""
        network, codebook = self.network, self._codebook
        first, generator = network.vocabulary.first_code, torch.Generator(network.device).manual_seed(seed)

        def drawn(logits: torch.Tensor) -> torch.Tensor:
            shares = (logits[:, first:] / temperature).softmax(-1)
            return first + torch.multinomial(shares, 1, generator=generator)[:, 0]

        nothing_yet = Piece(np.empty(0, np.int64))
        prefixes, number = [[Piece(text), nothing_yet] for text in texts], codebook.num_codes
        codes = self.continued(prefixes, tokens=number, choose=drawn, room=number + 1)  # codes and end, as in training
        return codebook.decode(np.array(codes).reshape(len(texts), -1) - first)

    def drawings_at_once(
        self, texts: Sequence[str], *, steps: int = 8, noise: float = 1.0, seed: int = 0
    ) -> NDArray[np.uint8]:
        """The same by a model that has learnt `masked_codes`: all codes in so many steps, the surest first."""
        network, codebook = self.network, self._codebook
        generator, found = torch.Generator(network.device).manual_seed(seed), []
        empty = Piece(np.zeros(codebook.num_codes, np.int64))
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                sequences = [[Piece(text), empty] for text in texts[start : start + BATCH]]
                ids = network.sequence_tokens(sequences).ids
                places = (ids == network.vocabulary.first_code).nonzero()[:, 1].view(len(ids), -1)
                found.append(decoded(network, ids, places, steps=steps, noise=noise, generator=generator).cpu())
        return codebook.decode(torch.cat(found).numpy())

    @property
    def _codebook(self) -> Codebook:
        if self.network.codebook is None:
            raise UsageError("the network has no codes of images, so it cannot draw; say codes: {} in its architecture")
        return self.network.codebook
