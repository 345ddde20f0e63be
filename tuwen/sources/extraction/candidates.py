"""The candidate texts of every image, each with its source: what WIT keeps of a page, and link and label texts.

alt caption title aria_label link heading before after page_title, in this order for each image.
WIT: <https://arxiv.org/abs/2103.01913>
"""

from __future__ import annotations

from tuwen.sources.extraction.content import Nodes, Page, Pairs
from tuwen.sources.extraction.figures import Image
from tuwen.sources.extraction.walk import Walk

LONGEST_SURROUNDING = 2_000
"""Of a longer neighbouring block, only this many characters nearest to the image are its `before` or `after`."""
MOST_SURROUNDED = 4
"""A block of text is `before` or `after` for this many images in a row: in a gallery, it is near to no other."""

_SURROUNDING_KINDS = frozenset(("text", "list", "table", "quote"))
_Positions = list[int | None]


def add_pairs(page: Page, walk: Walk) -> None:
    """Fill `page.pairs`. Empty texts make no pair; a text that an image has twice from one source makes one."""
    if not walk.images:
        return
    texts, regions, page_title = page.nodes.text, page.nodes.region, page.title or ""
    longest = max(map(len, filter(None, (page_title, *texts, *page.nodes.image_ref))), default=0)
    is_small = len(walk.images) * longest < 1_000_000  # the budget cannot run out: do not count
    rows: list[tuple[int, str, str, int | None, str, str]] = []
    add = rows.append
    for image, heading, before, after in zip(walk.images, *_neighbours(page.nodes, walk.images), strict=True):
        at, ref, region = image.position, image.ref, regions[image.position]
        if image.alt:
            add((at, image.alt, "alt", None, ref, region))
        if not is_small and not walk.afford(_num_shared(page, image, heading)):
            continue
        for number, position in enumerate(image.captions):
            text = texts[position] or ""
            if not number or text not in [texts[earlier] for earlier in image.captions[:number]]:
                add((at, text, "caption", position, ref, region))
        if image.title:
            add((at, image.title, "title", None, ref, region))
        if image.aria_label:
            add((at, image.aria_label, "aria_label", None, ref, region))
        if image.link:
            add((at, image.link, "link", None, ref, region))
        if heading is not None:
            add((at, texts[heading] or "", "heading", heading, ref, region))
        if before is not None:
            add((at, (texts[before] or "")[-LONGEST_SURROUNDING:].lstrip(), "before", before, ref, region))
        if after is not None:
            add((at, (texts[after] or "")[:LONGEST_SURROUNDING].rstrip(), "after", after, ref, region))
        if page_title:
            add((at, page_title, "page_title", None, ref, region))
    if rows:
        page.pairs = Pairs(*map(list, zip(*rows, strict=True)))


def _num_shared(page: Page, image: Image, heading: int | None) -> int:
    """How many characters an image repeats of what others of the page have too."""
    positions = image.captions if heading is None else (*image.captions, heading)
    shared = sum(len(page.nodes.text[position] or "") for position in positions)
    return shared + len(image.link) + len(page.title or "") + 8 * len(image.ref)


def _neighbours(nodes: Nodes, images: list[Image]) -> tuple[_Positions, _Positions, _Positions]:
    """Positions of each image's heading, text before and text after; None where there is none.

    Text before and after stands in the image's region with no heading in between. The heading is the nearest before
    the image, in its region if that has one. An image inside a heading has that one, whose node comes right behind it.
    """
    headings: _Positions = []
    before: _Positions = []
    after: _Positions = [None] * len(images)
    last_heading: dict[str, int] = {}
    nearest_heading: int | None = None
    last_text: dict[str, tuple[int, int]] = {}  # position, and how many images had come before it
    waiting: dict[str, list[int]] = {}  # images whose text after has not come yet, by region
    in_heading: list[int] = []
    for position, (kind, region) in enumerate(zip(nodes.kind, nodes.region, strict=True)):
        if kind == "image":
            index = len(before)
            text, num_images = last_text.get(region, (None, 0))
            before.append(text if index < num_images + MOST_SURROUNDED else None)
            headings.append(last_heading.get(region, nearest_heading))
            waiting.setdefault(region, []).append(index)
            if images[index].in_heading:
                in_heading.append(index)
        elif kind in _SURROUNDING_KINDS:
            last_text[region] = (position, len(before))
            for index in waiting.pop(region, ())[-MOST_SURROUNDED:]:
                after[index] = position
        elif kind == "heading":
            last_heading[region] = nearest_heading = position
            last_text.pop(region, None)
            waiting.pop(region, None)
            for index in in_heading:
                headings[index] = position
            in_heading.clear()
    return headings, before, after
