"""The caption markup of common generators, as they write it."""
# ruff: noqa: E501

from __future__ import annotations

import pytest

from tuwen.sources.extraction.page import extract

MARKUP = {
    "html5": (
        "<figure><a href=/big><img src=a.png></a><figcaption> A\n <b>cap</b>tion </figcaption></figure>",
        "A caption",
    ),
    "docbook title": (
        '<div class="figure"><a name="f1"></a><p class="title"><b>Figure 1.1. The tool</b></p><div class="figure-contents">'
        '<div class="mediaobject"><img src="a.png" alt="tool"></div></div></div><br class="figure-break">',
        "Figure 1.1. The tool",
    ),
    "docbook caption in table": (
        '<div class="informalfigure"><div class="mediaobject"><table border="0" summary="manufactured viewport"><tr>'
        '<td><img src="a.png"></td></tr></table><div class="caption"><p>Both windows</p></div></div></div>',
        "Both windows",
    ),
    "sphinx": (
        '<div class="figure align-center" id="id1"><img alt="x" src="a.png" /><p class="caption"><span class="caption-number">'
        'Fig. 3 </span><span class="caption-text">The <em>flow</em></span><a class="headerlink" href="#id1">¶</a></p></div>',
        "The flow",
    ),
    "sphinx html5": (
        '<figure class="align-default" id="id1"><a class="reference internal image-reference" href="a.png"><img src="a.png" />'
        '</a><figcaption><p><span class="caption-number">图 1 </span><span class="caption-text">流程</span><a class='
        '"headerlink" href="#id1" title="永久链接至图片">¶</a></p></figcaption></figure>',
        "流程",
    ),
    "sphinx-gallery": (
        '<div class="sphx-glr-thumbcontainer" tooltip="Edges by Canny"><img alt="" src="a.png" /><p><a class="reference'
        ' internal" href="x.html">Canny</a></p><div class="sphx-glr-thumbnail-title">Canny edges</div></div>',
        "Canny edges",
    ),
    "mediawiki": (
        '<figure class="mw-default-size" typeof="mw:File/Thumb"><a href="/wiki/File:A.png" class="mw-file-description">'
        '<img src="a.png"></a><figcaption>Un <i>chat</i></figcaption></figure>',
        "Un chat",
    ),
    "mediawiki thumb": (
        '<div class="thumb tright"><div class="thumbinner"><a class="image" href="/f"><img src="a.png"></a> <div class='
        '"thumbcaption"><div class="magnify"><a href="/f" title="Enlarge">Enlarge</a></div>A cat</div></div></div>',
        "A cat",
    ),
    "mediawiki gallery": (
        '<ul class="gallery"><li class="gallerybox"><div class="thumb"><span typeof="mw:File"><a href="/f"><img src="a.png">'
        '</a></span></div><div class="gallerytext"><p>A dog</p></div></li></ul>',
        "A dog",
    ),
    "asciidoctor": (
        '<div class="imageblock text-center"><div class="content"><img src="a.png" alt="x"></div><div class="title">'
        "Figure 2. Main screen</div></div>",
        "Figure 2. Main screen",
    ),
    "wordpress": (
        '<div id="attachment_1" class="wp-caption alignnone"><img src="a.png"><p class="wp-caption-text">My trip</p></div>',
        "My trip",
    ),
    "wordpress block": (
        '<figure class="wp-block-image size-large"><img src="a.png"><figcaption class="wp-element-caption">Sea</figcaption>'
        "</figure>",
        "Sea",
    ),
    "wordpress gallery": (
        '<dl class="gallery-item"><dt class="gallery-icon"><a href="/1"><img src="a.png"></a></dt><dd class="wp-caption-text'
        ' gallery-caption">Hill</dd></dl>',
        "Hill",
    ),
    "doxygen": ('<div class="image"><img src="a.png"><div class="caption">Class tree</div></div>', "Class tree"),
    "pandoc": ('<div class="figure"><img src="a.png"><p class="caption">Plot</p></div>', "Plot"),
    "qdoc": (
        '<div class="border"><p class="centerAlign"><img src="a.png" alt="" /></p></div><p class="figCaption">The main window</p>',
        "The main window",
    ),
    "dita": (
        '<div class="fig fignone" id="f"><span class="figcap"><span class="fig--title-label">Figure 1. </span>Pump</span><br/>'
        '<img class="image" src="a.png"/></div>',
        "Figure 1. Pump",
    ),
    "texinfo": (
        '<div class="float"><a name="F"></a><div align="center"><img src="a.png" alt="t"></div><div class="float-caption"><p>'
        "<strong>Figure 1.1: </strong>Tee</p></div></div>",
        "Figure 1.1: Tee",
    ),
    "jianshu": (
        '<div class="image-package"><div class="image-view"><img data-original-src="/a.png"></div><div class="image-caption">代码'
        "</div></div>",
        "代码",
    ),
    "substack": (
        '<div class="captioned-image-container"><figure><a class="image-link" href="/big"><picture><source type="image/webp" srcset='
        '"/w_424,c_limit/x.png 424w, /w_848,c_limit/x.png 848w"><img src="a.png"></picture><div class="image-link-expand"><svg></svg>'
        '</div></a><figcaption class="image-caption">Growth</figcaption></figure></div>',
        "Growth",
    ),
    "mediawiki multiple": (
        '<div class="thumb tmulti tright"><div class="thumbinner multiimageinner"><div class="trow"><div class="theader">Birds</div>'
        '</div><div class="tsingle"><div class="thumbimage"><a href="/f"><img src="a.png"></a></div><div class="thumbcaption">A robin'
        "</div></div></div></div>",
        "A robin",
    ),
    "drupal": (
        '<figure role="group" class="caption caption-img align-center"><img src="a.png" data-align="center"><figcaption>Our lab'
        "</figcaption></figure>",
        "Our lab",
    ),
    "latexml": (
        '<figure id="S1.F1" class="ltx_figure"><img src="a.png" class="ltx_graphics"><figcaption class="ltx_caption"><span class='
        '"ltx_tag ltx_tag_figure">Figure 1: </span>Overview</figcaption></figure>',
        "Figure 1: Overview",
    ),
    "span": ('<div class="image"><img src="a.png"><span class="caption">A cap</span></div>', "A cap"),
    "blogger": (
        '<table class="tr-caption-container"><tbody><tr><td><img src="a.png"></td></tr><tr><td class="tr-caption">Road</td>'
        "</tr></tbody></table>",
        "Road",
    ),
}


def captions(markup: str) -> list[tuple[str, str]]:
    pairs = extract(markup.encode(), "http://a.test/").pairs
    rows = zip(pairs.image_ref, pairs.text_source, pairs.text, strict=True)
    return [(ref.removeprefix("http://a.test/"), text) for ref, source, text in rows if source == "caption"]


@pytest.mark.parametrize("name", MARKUP)
def test_generator(name: str) -> None:
    markup, caption = MARKUP[name]
    page = f"<p>Text before <img src=before.png></p>{markup}<p>Text after <img src=after.png></p>"
    assert captions(page) == [("a.png", caption)]
    nodes = extract(page.encode(), "http://a.test/").nodes
    assert nodes.text[nodes.kind.index("caption")] == caption
    pairs = extract(page.encode(), "http://a.test/").pairs
    at = pairs.text_source.index("caption")
    position = pairs.text_position[at]
    assert position is not None and nodes.text[position] == caption


def test_tooltip_of_sphinx_gallery_is_a_title() -> None:
    pairs = extract(MARKUP["sphinx-gallery"][0].encode(), "http://a.test/").pairs
    assert ("title", "Edges by Canny") in list(zip(pairs.text_source, pairs.text, strict=True))


def test_one_caption_for_several_images() -> None:
    assert captions("<figure><img src=a><img src=b><figcaption>AB</figcaption></figure>") == [("a", "AB"), ("b", "AB")]


def test_gallery_caption_is_for_images_without_their_own() -> None:
    inner = "<figure><img src={0}><figcaption>{0}</figcaption></figure>"
    gallery = f"<figure>{inner.format('a')}{inner.format('b')}<figure><img src=c></figure><figcaption>all</figcaption></figure>"
    assert captions(gallery) == [("a", "a"), ("b", "b"), ("c", "all")]


def test_title_and_caption_of_one_image() -> None:
    markup = (
        '<div class="figure"><p class="title">Title</p><div class="mediaobject"><img src=a><div class="caption">Cap</div>'
        "</div></div>"
    )
    assert captions(markup) == [("a", "Cap"), ("a", "Title")]


def test_title_is_for_all_images_of_a_figure() -> None:
    """DocBook: the figure has a title, and every mediaobject in it a caption (GIMP's manual is full of these)."""
    media = '<div class="mediaobject"><img src={0}.jpg><div class="caption"><p>{1}</p></div></div>'
    markup = (
        '<div class="figure"><p class="title"><strong>Filter</strong></p><div class="figure-contents">'
        + media.format("a", "Original")
        + media.format("b", "Applied")
        + '<div class="mediaobject"><img src=c.jpg></div></div></div>'
    )
    assert captions(markup) == [
        ("a.jpg", "Original"),
        ("a.jpg", "Filter"),
        ("b.jpg", "Applied"),
        ("b.jpg", "Filter"),
        ("c.jpg", "Filter"),
    ]


def test_title_and_alternating_captions_of_one_figure() -> None:
    markup = '<div class="imageblock"><p class="title">T</p><img src=a><p class="caption">A</p><img src=b><p class="caption">B</p></div>'
    assert captions(markup) == [("a", "A"), ("a", "T"), ("b", "B"), ("b", "T")]


def test_caption_without_a_figure_is_for_the_image_right_before_it() -> None:
    assert captions("<img src=a><figcaption>A</figcaption><p>Text <img src=b> text<figcaption>B</figcaption>") == [
        ("a", "A")
    ]
    assert captions('<img src=a><p>Text</p><p class="figCaption">A</p>') == []
    assert captions('<p class="figCaption">A</p><img src=a>') == []


def test_alternating_captions() -> None:
    behind = "<figure><img src=a><figcaption>A</figcaption><img src=b><figcaption>B</figcaption></figure>"
    assert captions(behind) == [("a", "A"), ("b", "B")]
    before = "<figure><figcaption>A</figcaption><img src=a><figcaption>B</figcaption><img src=b></figure>"
    assert captions(before) == [("a", "A"), ("b", "B")]


def test_what_is_no_caption_of_an_image() -> None:
    assert captions('<img src=a><p class="caption" role="heading"><span class="caption-text">Contents</span></p>') == []
    assert captions("<table><caption>Prices</caption><tr><td><img src=a><td>1</table>") == []
    assert captions('<div class="example"><p class="title">Example 1</p><img src=a></div>') == []
    assert captions("<figure><img src=a><figcaption> </figcaption></figure>") == []
    assert captions('<figure><img src=a><figcaption style="display:none">no</figcaption></figure>') == []


def test_blocks_and_images_inside_a_caption_keep_it_whole() -> None:
    markup = "<figure><img src=a><figcaption><h4>Head</h4><p>one<br>two<p>three <img src=b> four</figcaption></figure>"
    assert captions(markup) == [("a", "Head one two three four"), ("b", "Head one two three four")]
