"""Image elements: which address an image has, and the texts in its attributes.

An image's address is its `src` whenever that is a real one: it is what crawlers fetch and what every other reader of
the page calls the image. Where `src` is missing, a data: URI or a blank file beside an attribute of a lazy loader,
the address is the loader's; then the largest of `srcset`, then the largest of the `<picture>`. Only http, https and
data: images count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tuwen.sources.extraction.figures import Image
from tuwen.sources.extraction.links import largest_candidate
from tuwen.sources.extraction.walk import Walk, collapsed

Attributes = dict[str, str | None]

_LAZY = (
    "data-src",
    "data-actualsrc",  # before data-original, which is the large version where both stand
    "data-original",
    "data-lazy-src",
    "data-lazy",
    "data-original-src",
    "data-echo",
    "data-url",
    "data-img-src",
    "data-hi-res-src",
    "data-full-src",
)
_LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
_SCRIPTED = frozenset((*_LAZY, *_LAZY_SETS, "srcset"))
# Addresses of the picture that is shown until the real one comes. Believed only beside a lazy attribute.
_BLANK = re.compile(
    r"(?:^|[/._-])(?:blank|spacer|placeholder|pixel|transparent|trans|loading|loader|lazy|lazyload|gr[ae]y|1x1|clear"
    r"|empty|dummy|img_loading|preload)\b[^/]*$",
    re.IGNORECASE,
)
_IMAGE_FILE = re.compile(r"\.(?:avif|bmp|gif|ico|jpe?g|jxl|png|svg|tiff?|webp)$", re.IGNORECASE)
_NO_URL = re.compile(r"[\s{}<>]|^(?:true|false|lazy|auto|none|\d+)$")


def read_image(walk: Walk, attributes: Attributes) -> None:
    """`<img>` and its like: add it to the page if it has an address."""
    src = attributes.get("src")
    if src and _SCRIPTED.isdisjoint(attributes):
        _add(walk, walk.reference(src), attributes)
    else:
        ref, lazy = _address(walk, attributes)
        _add(walk, ref, attributes, lazy)


def read_poster(walk: Walk, attributes: Attributes) -> None:
    """`<video poster>`."""
    poster = attributes.get("poster")
    if poster:
        _add(walk, walk.reference(poster), attributes)


def read_object(walk: Walk, attributes: Attributes) -> bool:
    """`<object data>`, `<embed src>`; returns whether it is an image: by its type, or its name where it has none."""
    address = attributes.get("data") or attributes.get("src")
    if not address:
        return False
    media_type = (attributes.get("type") or "").strip().lower()
    if not (media_type.startswith("image/") or (not media_type and _IMAGE_FILE.search(address.partition("?")[0]))):
        return False
    ref = walk.reference(address)
    _add(walk, ref, attributes)
    return ref is not None


def read_svg_image(walk: Walk, attributes: Attributes) -> None:
    """`<image>` in an inline SVG."""
    address = attributes.get("href") or attributes.get("xlink:href")
    if address:
        _add(walk, walk.reference(address), attributes)


def _add(walk: Walk, ref: str | None, attributes: Attributes, lazy: bool = False) -> None:
    if ref is None or not walk.afford(len(ref)):
        return
    image = Image(ref)
    if lazy:
        image.is_lazy = True
    if alt := attributes.get("alt"):
        image.alt = collapsed(alt)
    if title := attributes.get("title"):
        image.title = collapsed(title)
    if label := attributes.get("aria-label"):
        image.aria_label = collapsed(label)
    walk.add_image(image)


def _address(walk: Walk, attributes: Attributes) -> tuple[str | None, bool]:
    """The image's reference, and whether it came from a lazy loader's attribute."""
    src = (attributes.get("src") or "").strip()
    if src and src[:5].lower() != "data:" and not _BLANK.search(src.partition("?")[0]):
        ref = walk.reference(src)
        if ref is not None:
            return ref, False
    for lazy_address in _lazy_addresses(attributes):
        ref = walk.reference(lazy_address)
        if ref is not None:
            return ref, True
    for candidates in (attributes, *walk.sources):
        if (srcset := candidates.get("srcset")) and (address := largest_candidate(srcset)):
            ref = walk.reference(address)
            # A real src was taken above; here it can only be a blank beside its responsive versions.
            if ref is not None and (not src or src[:5].lower() == "data:"):
                return ref, False
    return (walk.reference(src) if src else None), False


def _lazy_addresses(attributes: Attributes) -> Iterator[str]:
    for name in _LAZY:
        if (value := attributes.get(name)) and not _NO_URL.search(value.strip()):
            yield value
    for name in _LAZY_SETS:
        if (value := attributes.get(name)) and (address := largest_candidate(value)):
            yield address
