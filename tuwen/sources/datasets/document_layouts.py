"""How data sets of interleaved documents lay out a record: MMC4, OBELICS and OmniCorpus, WanJuan.

Each function takes one record, whatever is wrong with it, and returns what it says. Facts:
MMC4 <https://arxiv.org/abs/2304.06939>, OBELICS <https://arxiv.org/abs/2306.16527>,
OmniCorpus <https://arxiv.org/abs/2406.08418>, WanJuan <https://arxiv.org/abs/2308.10755>.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuwen.sources.datasets.plain_json import BadJson, integer_or_none, objects_in, parse_json, text_or_none
from tuwen.sources.extraction.links import Resolver

MOST_NODES = 100_000  # of one document
# Possessive, and nothing runs across the next bracket: hostile text cannot make matching slow.
_MARKDOWN_IMAGE = re.compile(r"!\[([^\[\]\n]{0,2000}+)\]\(\s{0,9}+([^)\s\[]{1,8000}+)(?:\s[^)\n\[]{0,500}+)?\)")
_MARKDOWN_HEADING = re.compile(r"(#{1,6})\s++(\S.*)")
_SENTENCES = {"text_list", "image_info", "url", "similarity_matrix"}  # the matrix is as large as the rest


@dataclass(frozen=True)
class PairOfNode:
    """A text of the image at `position` in the nodes; `text_position` is the node that holds it, if one does."""

    position: int
    text: str
    text_source: str
    text_position: int | None = None
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Interleaved:
    """One document: nodes in reading order (as `tuwen.corpus.tables.NODE`), pairs, and what else was said of it."""

    url: str | None = None
    title: str | None = None
    nodes: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[PairOfNode] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    num_bad_images: int = 0

    def add_text(self, text: object, kind: str = "text", level: int | None = None) -> int | None:
        """Add a text and return its position; None where it says nothing."""
        clean = text_or_none(text)
        if not clean or not clean.strip():
            return None
        return self._add({"kind": kind, "text": clean, "level": level})

    def add_image(self, url: object) -> int | None:
        """Add an image by its URL and return its position; None where it is no http(s) URL."""
        address = Resolver("").resolve(url) if isinstance(url, str) else None
        if address is None:
            self.num_bad_images += 1
            return None
        return self._add({"kind": "image", "image_ref": address})

    def add_pair(self, position: int, text: object, text_source: str, **more: Any) -> None:
        """Add a text of an image unless it says nothing."""
        clean = text_or_none(text)
        if clean and clean.strip():
            self.pairs.append(PairOfNode(position, clean, text_source, **more))

    def _add(self, node: dict[str, Any]) -> int | None:
        if len(self.nodes) >= MOST_NODES:
            return None
        self.nodes.append(node)
        return len(self.nodes) - 1


def mmc4(record: Mapping[str, Any]) -> Interleaved:
    """`text_list`: sentences; `image_info`: images, each assigned to one of them by CLIP.

    An image stands before its sentence, and the two are a pair (text_source given; `matched_sim` and the rest of the
    image's fields in `given`). An image without a sentence stands at the end. `similarity_matrix` is left out.
    """
    document = Interleaved(text_or_none(record.get("url")), given=_without(record, _SENTENCES))
    texts = record.get("text_list")
    texts = texts if isinstance(texts, list) else []
    images: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for image in objects_in(record.get("image_info")):
        index = integer_or_none(image.get("matched_text_index"))
        images[index if index is not None and 0 <= index < len(texts) else len(texts)].append(image)
    for index in range(len(texts) + 1):
        shown = [(image, document.add_image(image.get("raw_url"))) for image in images.get(index, ())]
        text = texts[index] if index < len(texts) else None
        position = document.add_text(text)
        for image, place in shown:
            if place is not None and position is not None:
                given = _without(image, {"raw_url", "matched_text_index"})
                document.add_pair(place, text, "given", text_position=position, given=given)
    return document


def obelics(record: Mapping[str, Any]) -> Interleaved:
    """`texts` and `images` side by side, one of them null at each place; OmniCorpus-CC is laid out alike.

    `metadata` (a list, or one as a string of JSON) describes each image: its `alt_text` makes a pair, the rest goes
    into that pair's `given`. `general_metadata` goes into the document's.
    """
    general = _decoded(record.get("general_metadata"))
    general = general if isinstance(general, dict) else {}
    rest = _without(record, {"texts", "images", "metadata", "general_metadata"})
    document = Interleaved(text_or_none(general.get("url")), given={**rest, **_without(general, {"url"})})
    texts, images = (value if isinstance(value := record.get(name), list) else [] for name in ("texts", "images"))
    metadata = _decoded(record.get("metadata"))
    described = metadata if isinstance(metadata, list) else []
    for index in range(max(len(texts), len(images))):
        if index < len(texts):
            document.add_text(texts[index])
        if index >= len(images) or images[index] is None:
            continue
        place = document.add_image(images[index])
        said = described[index] if index < len(described) and isinstance(described[index], dict) else {}
        document.url = document.url or text_or_none(said.get("document_url"))
        if place is not None:
            given = _without(said, {"alt_text", "src", "document_url"})
            document.add_pair(place, said.get("alt_text"), "alt", given=given)
    return document


def wanjuan(record: Mapping[str, Any]) -> Interleaved:
    """`content` in Markdown with images at their places and `img_list` about them, or `content_list` of items.

    Captions of `img_list` and texts in brackets make pairs; fields of an image go into their `given`. `sha256` there is
    that of the URL, so it is no hash of the image.
    """
    own = {"content", "content_list", "img_list", "url", "title"}
    url, title = text_or_none(record.get("url")), text_or_none(record.get("title"))
    document = Interleaved(url, title, given=_without(record, own))
    images = {str(image.get("url")): image for image in objects_in(record.get("img_list"))}
    if isinstance(record.get("content_list"), list):
        for item in objects_in(record["content_list"]):
            address = item.get("img_url") or item.get("image_url")
            if address is not None:
                _add_described(
                    document,
                    address,
                    item.get("caption") or item.get("content"),
                    {**item, **images.get(str(address), {})},
                )
            else:
                document.add_text(item.get("content") or item.get("text"))
        return document
    for line in (text_or_none(record.get("content")) or "").split("\n"):
        start = 0
        for image in _MARKDOWN_IMAGE.finditer(line):
            document.add_text(line[start : image.start()])
            _add_described(document, image[2], image[1], images.pop(image[2], {}))
            start = image.end()
        heading = _MARKDOWN_HEADING.fullmatch(line.rstrip()) if not start else None
        if heading:
            document.add_text(heading[2], "heading", len(heading[1]))
        else:
            document.add_text(line[start:])
    for address, described in images.items():  # listed, but not placed
        _add_described(document, address, None, described)
    return document


LAYOUTS: dict[str, Callable[[Mapping[str, Any]], Interleaved]] = {
    "mmc4": mmc4,
    "obelics": obelics,
    "wanjuan": wanjuan,
}


def layouts_of(names: set[str]) -> list[str]:
    """Layouts that a record with these fields may have, `tuwen` for documents that tuwen released."""
    if names >= {"document_id", "texts", "images", "image_urls", "kinds"} or names >= {"image", "image_id"}:
        return ["tuwen"]
    marks = {
        "mmc4": {"text_list", "image_info"} <= names,
        "obelics": {"texts", "images"} <= names,
        "wanjuan": "content_list" in names or {"content", "img_list"} <= names,
    }
    return [name for name, fits in marks.items() if fits]


def _add_described(document: Interleaved, address: object, alt: object, described: Mapping[str, Any]) -> None:
    place = document.add_image(address)
    if place is None:
        return
    own = {"url", "img_url", "image_url", "caption", "type", "content"}
    for text, source in ((alt, "alt"), (described.get("caption"), "caption")):
        if source == "caption" or text != described.get("caption"):
            document.add_pair(place, text, source, given=_without(described, own))


def _without(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names and value is not None}


def _decoded(value: object) -> Any:
    """What a string of JSON holds; anything else as it is."""
    try:
        return parse_json(value) if isinstance(value, str) else value
    except BadJson:
        return None
