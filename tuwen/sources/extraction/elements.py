"""What each HTML element does to the walk when it opens. `OPENERS` is the whole list; others are inline."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

from tuwen.sources.extraction import rights
from tuwen.sources.extraction.images import read_image, read_object, read_poster, read_svg_image
from tuwen.sources.extraction.regions import Meaning, meaning_of
from tuwen.sources.extraction.walk import Close, Opener, Walk, collapsed, skip


def block(walk: Walk, node: LexborNode) -> Close | None:
    """A block: the text before it, inside it and behind it are three nodes."""
    attributes = node.attributes
    if attributes:
        meaning = meaning_of(attributes)
        if meaning is not None:
            close = walk.enter(meaning)
            if meaning.figure and walk.figures and (tooltip := attributes.get("tooltip")):
                walk.figures[-1].tooltip = collapsed(tooltip)  # Sphinx-Gallery
            return close
    if walk.pieces:
        walk.flush()
    return Walk.flush


def inline(walk: Walk, node: LexborNode) -> Close | None:
    """An inline element that may be hidden, a sign that the generator added, or the caption of a figure."""
    attributes = node.attributes
    if attributes:
        meaning = meaning_of(attributes)
        if meaning is not None:
            if meaning.hidden:
                return walk.mute()
            if meaning.caption and walk.figures and walk.separator is None and walk.table is None:
                return walk.enter(Meaning(caption=True))
    return None


def link(walk: Walk, node: LexborNode) -> Close | None:
    """`<a>`: its text is a candidate for the images inside; it may name a licence."""
    attributes = node.attributes
    href = attributes.get("href")
    if not href:
        return inline(walk, node)
    if "rel" in attributes or "creativecommons.org" in href:
        rights.read_link(walk.page, attributes, walk.resolver)
    meaning = meaning_of(attributes)
    if meaning is not None and meaning.hidden:
        return walk.mute()
    if walk.link_mark >= 0:
        return None
    walk.link_mark = len(walk.pieces)
    walk.link_first_image = len(walk.images)
    return _close_link


def _close_link(walk: Walk) -> None:
    if len(walk.images) > walk.link_first_image:
        text = collapsed("".join((*walk.link_pieces, *walk.pieces[walk.link_mark :])))
        for image in walk.images[walk.link_first_image :]:
            image.link = text
    walk.link_pieces.clear()
    walk.link_mark = -1


def _with_kind(kind: str, separator: str | None = None, level: int | None = None) -> Opener:
    def opener(walk: Walk, node: LexborNode) -> Close | None:
        attributes = node.attributes
        meaning = meaning_of(attributes) if attributes else None
        if meaning is not None:
            return walk.enter(meaning, kind, level=level, separator=separator)
        if separator is not None and walk.table is not None and walk.mute_mark < 0:
            walk.leave_table()
        return walk.open_kind(kind, level, separator)

    return opener


def _with_region(region: str) -> Opener:
    def opener(walk: Walk, node: LexborNode) -> Close | None:
        return walk.enter(meaning_of(node.attributes), region=region)

    return opener


def section(walk: Walk, node: LexborNode) -> Close | None:
    """`<section>`, `<article>`: a `<header>` inside is theirs, not the page's."""
    return walk.enter(meaning_of(node.attributes), sectioned=True)


def aside(walk: Walk, node: LexborNode) -> Close | None:
    """`<aside>`; notes and topics of the text, which docutils and others write so, are not beside it."""
    attributes = node.attributes
    classes = (attributes.get("class") or "").lower()
    is_note = any(word in classes for word in ("admonition", "note", "topic"))
    return walk.enter(meaning_of(attributes), region=None if is_note else "aside")


def form(walk: Walk, node: LexborNode) -> Close | None:
    """`<form>`; ASP.NET wraps every page in one, which says nothing."""
    attributes = node.attributes
    wraps_page = (attributes.get("id") or "").lower() in ("aspnetform", "form1")
    return walk.enter(meaning_of(attributes), region=None if wraps_page else "form")


def figure(walk: Walk, node: LexborNode) -> Close | None:
    """`<figure>`."""
    attributes = node.attributes
    meaning = meaning_of(attributes) if attributes else None
    if meaning is None:
        return walk.open_figure(titled=False)
    return walk.enter(meaning._replace(figure=True))


def table(walk: Walk, node: LexborNode) -> Close | None:
    """`<table>`: data, until it is said or seen to be layout."""
    attributes = node.attributes
    meaning = meaning_of(attributes) if attributes else None
    if walk.separator is not None or walk.mute_mark >= 0 or meaning is not None:
        return walk.enter(meaning)
    return walk.open_table(layout=attributes.get("role") in ("presentation", "none"))


def table_caption(walk: Walk, node: LexborNode) -> Close | None:
    """`<caption>`: it stands before its table, which stays a table."""
    return walk.open_kind("caption", None, " ")


def row(walk: Walk, node: LexborNode) -> Close | None:
    """`<tr>`."""
    if walk.table is None or walk.mute_mark >= 0:
        return block(walk, node)
    return Walk.close_row


def cell(walk: Walk, node: LexborNode) -> Close | None:
    """`<td>`, `<th>`: one that is a region of the page, or a caption, shows that the table is layout."""
    if walk.table is None or walk.mute_mark >= 0:
        return block(walk, node)
    attributes = node.attributes
    meaning = meaning_of(attributes) if attributes else None
    if meaning is not None:
        if meaning.hidden:
            return walk.enter(meaning)
        if meaning.region or walk.is_caption(meaning):
            walk.leave_table()
            return walk.enter(meaning)
    return Walk.close_cell


def code(walk: Walk, node: LexborNode) -> Close | None:
    """`<pre>`: highlighting puts every word into a <span>, so its text is taken whole where that loses nothing."""
    close = _open_code(walk, node)
    if close is None or not _is_just_text(node.html or ""):
        return close
    walk.pieces.append(node.text())
    close(walk)
    return skip


def _is_just_text(markup: str) -> bool:
    """Whether a <pre> holds no elements but <span>, <code> and <a>, none of which is hidden or a line number."""
    num_tags = markup.count("<") - markup.count("</") - 1  # in text and attributes, < is escaped
    num_plain = markup.count("<span") + markup.count("<a ") + markup.count("<code")
    return num_tags == num_plain and not ("lineno" in markup or "hidden" in markup or "display" in markup)


def html(walk: Walk, node: LexborNode) -> Close | None:
    """`<html>`: the declared language."""
    attributes = node.attributes
    language = (attributes.get("lang") or attributes.get("xml:lang") or "").strip()
    walk.page.declared_language = language or None
    return None


def title(walk: Walk, node: LexborNode) -> Close | None:
    """`<title>` of the page; the one of an inline SVG is hidden text."""
    if walk.mute_mark < 0 and walk.page.title is None:
        walk.page.title = " ".join(node.text().split()) or None
    return skip


def base(walk: Walk, node: LexborNode) -> Close | None:
    """`<base>`."""
    href = node.attributes.get("href")
    if href is not None:
        walk.set_base(href)
    return skip


def meta(walk: Walk, node: LexborNode) -> Close | None:
    """`<meta>`: generator, language and rights."""
    rights.read_meta(walk.page, node.attributes)
    return skip


def head_link(walk: Walk, node: LexborNode) -> Close | None:
    """`<link>`: it may name a licence."""
    attributes = node.attributes
    if "rel" in attributes:
        rights.read_link(walk.page, attributes, walk.resolver)
    return skip


def script(walk: Walk, node: LexborNode) -> Close | None:
    """`<script>`: JSON-LD may name a licence."""
    if (node.attributes.get("type") or "").strip().lower() == "application/ld+json":
        rights.read_json_ld(walk.page, node.text())
    return skip


def line_break(walk: Walk, node: LexborNode) -> Close | None:
    """`<br>`."""
    walk.pieces.append("\n")
    return skip


def rule(walk: Walk, node: LexborNode) -> Close | None:
    """`<hr>`."""
    walk.flush()
    return skip


def noscript(walk: Walk, node: LexborNode) -> Close | None:
    """`<noscript>`: what browsers without scripts show; lazily loaded images often have a copy here."""
    walk.num_noscripts += 1
    return _close_noscript


def _close_noscript(walk: Walk) -> None:
    walk.num_noscripts -= 1


def svg(walk: Walk, node: LexborNode) -> Close | None:
    """`<svg>` in the page: noted; its labels are no text of the page, its raster images are images."""
    walk.nodes.append(("svg", None, None, walk.region, None))
    return walk.mute()


def picture(walk: Walk, node: LexborNode) -> Close | None:
    """`<picture>`: its sources serve an `<img>` that has no address of its own."""
    walk.sources.clear()
    return _close_picture


def _close_picture(walk: Walk) -> None:
    walk.sources.clear()


def source(walk: Walk, node: LexborNode) -> Close | None:
    """`<source>` of a `<picture>`; those of audio and video are none of ours."""
    parent = node.parent
    if parent is not None and parent.tag == "picture":
        walk.sources.append(node.attributes)
    return skip


def img(walk: Walk, node: LexborNode) -> Close | None:
    """`<img>`, `<amp-img>`."""
    read_image(walk, node.attributes)
    return skip


def button_image(walk: Walk, node: LexborNode) -> Close | None:
    """`<input type=image>`."""
    attributes = node.attributes
    if (attributes.get("type") or "").lower() == "image":
        read_image(walk, attributes)
    return skip


def media(walk: Walk, node: LexborNode) -> Close | None:
    """`<video>`, `<audio>`, `<canvas>`: the poster is an image; what old browsers show instead is not read."""
    read_poster(walk, node.attributes)
    return walk.mute()


def embedded_object(walk: Walk, node: LexborNode) -> Close | None:
    """`<object>`, `<embed>`: what shows instead of an image is read only if the object is none."""
    return walk.mute() if read_object(walk, node.attributes) else None


def svg_image(walk: Walk, node: LexborNode) -> Close | None:
    """`<image>` inside an SVG."""
    read_svg_image(walk, node.attributes)
    return None


def nothing(walk: Walk, node: LexborNode) -> Close | None:
    """Contents that are no text of the page."""
    return skip


_open_code = _with_kind("code", "\n")
OPENERS: dict[str | None, Opener] = {
    **dict.fromkeys(
        ("address", "center", "details", "dialog", "dir", "div", "dl", "fieldset", "frameset", "hgroup"), block
    ),
    **dict.fromkeys(("legend", "menu", "ol", "p", "search", "summary", "ul"), block),
    **dict.fromkeys(("span", "sup", "sub", "small", "button", "label"), inline),
    **{f"h{level}": _with_kind("heading", " ", level) for level in range(1, 7)},
    **dict.fromkeys(("li", "dt", "dd"), _with_kind("list")),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), code),
    "blockquote": _with_kind("quote"),
    "figcaption": _with_kind("caption", " "),
    "caption": table_caption,
    "nav": _with_region("navigation"),
    "header": _with_region("header"),
    "footer": _with_region("footer"),
    "main": _with_region("main"),
    "aside": aside,
    "form": form,
    "section": section,
    "article": section,
    "figure": figure,
    "table": table,
    "tr": row,
    "td": cell,
    "th": cell,
    "a": link,
    "html": html,
    "title": title,
    "base": base,
    "meta": meta,
    "link": head_link,
    "script": script,
    "br": line_break,
    "hr": rule,
    "noscript": noscript,
    "svg": svg,
    "picture": picture,
    "source": source,
    "img": img,
    "amp-img": img,
    "image": svg_image,
    "input": button_image,
    "video": media,
    "audio": media,
    "canvas": media,
    "object": embedded_object,
    "embed": embedded_object,
    **dict.fromkeys(
        ("style", "template", "iframe", "noembed", "noframes", "textarea", "select", "datalist", "annotation"),
        nothing,
    ),
}
