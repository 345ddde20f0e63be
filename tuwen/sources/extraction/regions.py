"""What elements mean by their class, id and role, in the conventions of the generators whose pages we meet.

One entry here teaches extraction a new generator. Tokens are matched whole and without case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Meaning(NamedTuple):
    """What an element's attributes say about everything inside it."""

    region: str | None = None  # navigation header footer aside form main
    hidden: bool = False  # its text is not text of the page
    figure: bool = False  # its captions belong to its images
    titled: bool = False  # a figure whose caption may have the class `title`
    caption: bool = False  # a caption, if it stands in a figure
    title: bool = False  # a caption, if it stands in a titled figure
    trailing: bool = False  # a caption, if it stands right behind an image


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Sphinx, Read the Docs, pydata, MediaWiki, DocBook, Asciidoctor, Antora, Docusaurus, MkDocs Material, WordPress,
# Doxygen, VuePress, Javadoc, Bootstrap, in this order where they have names of their own.
_REGIONS = {
    **dict.fromkeys(
        _words(
            """sphinxsidebar sphinxsidebarwrapper related wy-nav-side wy-nav-top wy-breadcrumbs rst-breadcrumbs-buttons
            rst-footer-buttons bd-sidebar bd-sidebar-primary bd-sidebar-secondary bd-toc prev-next-area localtoc
            toc-drawer sidebar-drawer sidebar-tree
            mw-panel mw-navigation mw-sidebar vector-menu vector-toc vector-column-start vector-page-toolbar catlinks
            toc navbox vertical-navbox mw-jump-link
            navheader navfooter list-of-figures list-of-tables toc2 sectlevel1 nav-container nav-panel-menu
            theme-doc-sidebar-container theme-doc-breadcrumbs theme-doc-toc-mobile theme-doc-toc-desktop
            table-of-contents pagination-nav menu__list navbar__items
            md-nav md-tabs md-sidebar md-path
            main-navigation nav-menu nav-links post-navigation posts-navigation site-navigation wp-block-navigation
            navrow tabs side-nav nav-path navpath sidebar-links page-nav subnav topnav navlist
            nav navbar navigation breadcrumb breadcrumbs pagination pager menu sidenav sidebar-nav site-nav skip-link"""
        ),
        "navigation",
    ),
    **dict.fromkeys(
        _words(
            """bd-header header-article mw-head vector-header mw-header md-header site-header masthead page-header
            site-branding topbar top-bar banner titlearea header"""
        ),
        "header",
    ),
    **dict.fromkeys(
        _words(
            """bd-footer footer-article mw-footer printfooter md-footer site-footer site-info colophon footer-text
            theme-doc-footer entry-footer page-footer footer footnav"""
        ),
        "footer",
    ),
    **dict.fromkeys(
        _words("sidebar widget-area widget secondary comments comment-list sidebar-container related-posts"),
        "aside",
    ),
    **dict.fromkeys(_words("searchbox search-form searchform md-search p-search"), "form"),
}
_ROLES = {
    **dict.fromkeys(_words("navigation menu menubar tablist toolbar directory doc-toc doc-index"), "navigation"),
    **dict.fromkeys(_words("form search"), "form"),
    "banner": "header",
    "contentinfo": "footer",
    "complementary": "aside",
    "main": "main",
}
# Signs that the generator adds to the author's text: permalinks, numbers, edit links, line numbers.
_HIDDEN = _words(
    """headerlink hash-link header-anchor anchorjs-link heading-anchor mw-editsection magnify caption-number
    linenos lineno line-numbers-rows gutter viewcode-link"""
)
_FIGURES = _words(
    """thumb thumbinner gallerybox wp-caption wp-block-image gallery-item blocks-gallery-item tr-caption-container
    sphx-glr-thumbcontainer float image thumbnail carousel-item captioned-image img-caption-container fig
    image-package"""
)
_TITLED_FIGURES = _words("figure informalfigure mediaobject mediaobjectco imageblock screenshot")
_CAPTIONS = _words(
    """caption figure-title figure-caption thumbcaption gallerytext wp-caption-text gallery-caption wp-element-caption
    sphx-glr-thumbnail-title tr-caption carousel-caption image-caption img-caption figcaption figcap
    float-caption"""
)
_DISPLAY_NONE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_NOTHING = Meaning()


def meaning_of(attributes: dict[str, str | None]) -> Meaning | None:
    """What an element's attributes mean; None when they mean nothing to us, which is most often."""
    if len(attributes) == 1 and "class" in attributes:
        return _of_class(attributes["class"])
    identifier = attributes.get("id")
    if identifier is not None and identifier.lower() not in _REGIONS:
        identifier = None  # ids are endless: the cache below must not see them
    style = attributes.get("style")
    hidden = "hidden" in attributes or (style is not None and _DISPLAY_NONE.search(style) is not None)
    return _meaning(attributes.get("class"), identifier, attributes.get("role"), hidden)


@lru_cache(maxsize=16_384)
def _of_class(classes: str | None) -> Meaning | None:
    return _meaning(classes, None, None, False)


@lru_cache(maxsize=16_384)
def _meaning(classes: str | None, identifier: str | None, role: str | None, hidden: bool) -> Meaning | None:
    tokens = (classes or "").lower().split()
    region = _ROLES.get((role or "").strip().lower())
    for token in (*tokens, (identifier or "").lower()):
        region = region or _REGIONS.get(token)
    known = frozenset(tokens)
    meaning = Meaning(
        region=region,
        hidden=hidden or not known.isdisjoint(_HIDDEN),
        figure=not known.isdisjoint(_FIGURES) or not known.isdisjoint(_TITLED_FIGURES),
        titled=not known.isdisjoint(_TITLED_FIGURES),
        caption=not known.isdisjoint(_CAPTIONS) and role != "heading",
        title="title" in known,
        trailing="figcaption" in known,  # QDoc
    )
    return None if meaning == _NOTHING else meaning
