"""Keeps hostile pages from taking the parser's quadratic paths, without touching honest ones.

The HTML standard makes a parser search its stack of open elements at many tags and the attributes of a tag at every
new one: 100,000 nested <div> cost Lexbor 23 s, 200,000 attributes of one tag 160 s. Like Blink, we open no more than
512 elements at a time. Text stays where it is; only tags and attributes beyond the bounds go. Pages below 64 KiB are
left alone: whatever they hold, they cost about a second at worst.
"""

from __future__ import annotations

import re

DEEPEST = 512
MOST_ATTRIBUTES = 256

_HARMLESS_BYTES = 65_536  # whatever such a page holds, it costs less than a second
_HARMLESS_STEPS = 4e8  # stack searches at about 2 ns each
_LONG_TAG_BYTES = 2048
# A start tag as tokenizers see it: a quote counts only behind an equals sign.
_START_TAG = re.compile(
    rb"<[A-Za-z](?:[^>=]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+(?:>|\Z)",
)
_TAG = re.compile(rb"<[A-Za-z](?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+(?:>|\Z)")
_TAG = re.compile(rb"<(/?)([A-Za-z][^\s/>]{0,40})[^>]*>?")
_ATTRIBUTE = re.compile(rb"[^\s/>=][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"?|'[^']*+'?|[^\s>]*+))?")
# Elements that have no end, or are closed by the next of their kind: they add no depth that others would not.
_SHALLOW = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dd dt tr td th option".split()
)


def bounded(body: bytes) -> bytes:
    """The page, or a copy without its excess of nesting and attributes. Linear in its size."""
    if len(body) < _HARMLESS_BYTES:
        return body
    if max(map(len, body.split(b">"))) > _LONG_TAG_BYTES:
        body = _START_TAG.sub(_fewer_attributes, body)
    num_tags = body.count(b"<")
    if num_tags * (num_tags - body.count(b"</")) < _HARMLESS_STEPS:
        return body
    return _flattened(body)


def _fewer_attributes(match: re.Match[bytes]) -> bytes:
    """A tag with its first attributes."""
    tag = match[0]
    if len(tag) > _LONG_TAG_BYTES:
        for number, attribute in enumerate(_ATTRIBUTE.finditer(tag, 1)):
            if number > MOST_ATTRIBUTES:  # the tag's name counts as one
                # Inside a comment or script this was no tag at all; the comment must still end.
                return tag[: attribute.start()] + (b"-->" if tag.endswith(b"-->") else b">")
    return tag


def _flattened(body: bytes) -> bytes:
    """The page without the tags that would open an element below the deepest level.

    An end tag closes the nearest open element of its name here. The parser may leave more open (overlapping
    elements), never by more than a few levels for each of ours.
    """
    kept = []
    num_open: dict[bytes, int] = {}
    depth = end = 0
    for match in _TAG.finditer(body):
        name = match[2].lower()
        if name in _SHALLOW:
            continue
        if match[1]:
            if num_open.get(name):
                num_open[name] -= 1
                depth -= 1
                continue
        elif depth < DEEPEST:
            num_open[name] = num_open.get(name, 0) + 1
            depth += 1
            continue
        # Beyond the bound, or closing what is not open: the parser would search for it in vain.
        kept.append(body[end : match.start()])
        end = match.end()
    kept.append(body[end:])
    return b"".join(kept)
