"""The card of a release as HTML: Markdown without raw HTML, without pictures, and with links to the web alone."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

MAX_CHARACTERS = 400_000
_FOLD = re.compile(r"^<details><summary>(.*)</summary>$", re.MULTILINE)
_TAG = re.compile(r"</?\w+>")


def rendered(text: str) -> Markup:
    """HTML of a card's text. Its YAML front matter becomes a block of code; what is HTML in it shows itself."""
    text = text[:MAX_CHARACTERS]
    if text.startswith("---\n") and "\n---\n" in text[4:]:
        matter, _, text = text[4:].partition("\n---\n")
        text = f"{text}\n\n## Front matter\n\n{_fenced(matter)}\n"
    # The card folds long tables away with HTML of its own; here they are headings.
    text = _FOLD.sub(lambda found: f"### {_TAG.sub('', found[1])}", text).replace("\n</details>", "")
    return Markup(_markdown().render(text))


def _fenced(text: str) -> str:
    from tuwen.releases.card import fenced

    return fenced(text, "yaml")


@functools.cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable(["image", "html_block"])
    made.validateLink = _is_web  # type: ignore[method-assign]
    made.add_render_rule("heading_open", _lower)
    made.add_render_rule("heading_close", _lower)
    return made


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _lower(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Headings one level lower: the page has a first one of its own."""
    token = tokens[index]
    level = min(int(token.tag[1]) + 1, 6)
    return f"<{'/' if token.nesting < 0 else ''}h{level}>"
