from __future__ import annotations

import base64

import pytest

from tuwen.corpus.tables import digest
from tuwen.sources.extraction.page import Page, extract

URL = "https://a.test/docs/page.html"


def read(markup: str, url: str = URL) -> Page:
    return extract(markup.encode(), url)


def nodes(markup: str) -> list[tuple[str, str | None]]:
    """(kind, text or reference relative to the page) of every node."""
    found = read(markup).nodes
    refs = [ref.removeprefix("https://a.test/docs/") if ref else None for ref in found.image_ref]
    return [(kind, text or ref) for kind, text, ref in zip(found.kind, found.text, refs, strict=True)]


def pairs(markup: str) -> list[tuple[str, str, str]]:
    found = read(markup).pairs
    refs = [ref.removeprefix("https://a.test/docs/") for ref in found.image_ref]
    return list(zip(refs, found.text_source, found.text, strict=True))


def images(markup: str) -> list[str]:
    return [ref for kind, ref in nodes(markup) if kind == "image" and ref]


def test_reading_order() -> None:
    assert nodes(
        "<h1>Big <i>title</i></h1>lead<p>One <b>bo</b>ld.</p><ul><li>first<li>second <ul><li>inner</ul></ul>"
        "<blockquote><p>said</p></blockquote><pre>  a\n    b\n</pre><p>x <img src=i.png> y</p><dl><dt>t<dd>d</dl>tail"
    ) == [
        ("heading", "Big title"),
        ("text", "lead"),
        ("text", "One bold."),
        ("list", "first"),
        ("list", "second"),
        ("list", "inner"),
        ("quote", "said"),
        ("code", "  a\n    b"),
        ("text", "x"),
        ("image", "i.png"),
        ("text", "y"),
        ("list", "t"),
        ("list", "d"),
        ("text", "tail"),
    ]


def test_white_space_is_collapsed_and_text_otherwise_untouched() -> None:
    assert nodes("<p>\n a&nbsp; b<br>c\t&amp;amp; \u3000d &lt;e&gt; </p>") == [("text", "a b c &amp; d <e>")]
    assert pairs("<img src=a alt=' \n x&nbsp; &quot;y&quot;\t'>") == [("a", "alt", 'x "y"')]
    assert read("<p>\ud7ff&#xd800;\0").nodes.text == ["\ud7ff\ufffd"]


def test_headings_have_levels() -> None:
    assert read("<h1>a</h1><h4>b</h4><p>c").nodes.level == [1, 4, None]


def test_tables() -> None:
    assert nodes(
        "<table><caption>T</caption><thead><tr><th>a<th>b<tbody><tr><td><p>1</p><p>2</p><td>3<tr><td><td>4</table>"
    ) == [("caption", "T"), ("table", "a\tb\n1 2\t3\n\t4")]
    assert nodes("<table><tr><td>alone</table>") == [("text", "alone")]


def test_images_split_tables_at_their_row() -> None:
    assert nodes("<table><tr><td>a<td>b<tr><td>c<td>d <img src=i> e<td>f<tr><td>g<td>h</table>") == [
        ("table", "a\tb"),
        ("table", "c\td"),
        ("image", "i"),
        ("table", "e\tf"),
        ("table", "g\th"),
    ]


def test_layout_tables_are_plain_blocks() -> None:
    assert nodes(
        "<table><tr><td><ul><li>menu</ul><td><h2>Head</h2><p>text</p><table><tr><td>1<td>2</table></table>"
    ) == [
        ("text", "menu"),
        ("heading", "Head"),
        ("text", "text"),
        ("table", "1\t2"),
    ]
    assert nodes("<table role=presentation><tr><td>a<td>b</table>") == [("text", "a"), ("text", "b")]


def test_code_keeps_lines_however_it_is_marked_up() -> None:
    assert nodes("<pre><span class=n>def</span> <span>f</span>:\n  <a href=x>pass</a>\n</pre>") == [
        ("code", "def f:\n  pass")
    ]
    assert nodes("<pre><code><div class=line>a</div><div class=line>  b</div></code></pre>") == [("code", "a\n  b")]
    assert nodes("<pre>a<br>b</pre>") == [("code", "a\nb")]
    assert nodes("<pre><span class=linenos>1</span>a\n<span class=linenos>2</span>b</pre>") == [("code", "a\nb")]


def test_hidden_text_is_no_text_but_its_images_are_images() -> None:
    assert nodes(
        "<script>s</script><style>s</style><template>t<img src=t></template><p hidden>h<p style='Display : none'>n</p>"
        "<div style='display:none'><p>deep</p><table><tr><td>t</table><img src=i.png alt=x></div>"
        "<p>a<span style='visibility:hidden'>b</span>c</p><select><option>o</select><textarea>t</textarea>"
    ) == [("image", "i.png"), ("text", "ac")]


def test_permalinks_and_edit_links_are_no_text() -> None:
    assert nodes(
        '<h2>A<a class="headerlink" href="#a">¶</a></h2>'
        '<h2>B<span class="mw-editsection">[<a href=e>edit</a>]</span></h2>'
        '<h2>C<a class="hash-link" href="#c">#</a></h2>'
    ) == [("heading", "A"), ("heading", "B"), ("heading", "C")]


def test_svg_is_noted() -> None:
    markup = "<p>a <svg><title>t</title><text>label</text><image xlink:href=r.png /></svg> b</p>"
    assert nodes(markup) == [("svg", None), ("image", "r.png"), ("text", "a b")]
    assert read(f"{markup}<h1>Head</h1>").title == "Head"


def test_regions() -> None:
    found = read(
        "<header><p>top<nav>menu</nav></header><nav>n<footer>nf</footer></nav><main><header><h1>t</h1></header>"
        "<p>m<aside>s</aside><aside class='admonition note'>note</aside></main><form>f</form><footer>foot</footer>"
        "<div role=navigation>r</div><div class='sphinxsidebar'>sb</div><div id=mw-panel>mw</div>"
        "<div class=navheader>nh</div><p>rest</p><form id=aspnetForm>page</form>"
    ).nodes
    assert dict(zip([text or "" for text in found.text], found.region, strict=True)) == {
        "top": "header",
        "menu": "navigation",
        "n": "navigation",
        "nf": "navigation",
        "t": "main",
        "m": "main",
        "s": "aside",
        "note": "main",
        "f": "form",
        "foot": "footer",
        "r": "navigation",
        "sb": "navigation",
        "mw": "navigation",
        "nh": "navigation",
        "rest": "main",
        "page": "main",
    }


def test_title_language_generator() -> None:
    page = read(
        '<html lang=zh-TW><title> A\n b </title><meta name=generator content="Hugo 0.1"><svg><title>x</title></svg>'
    )
    assert (page.title, page.declared_language, page.generator) == ("A b", "zh-TW", "Hugo 0.1")
    assert read("<meta property=og:title content=' O g '><h1>H</h1>").title == "O g"
    assert read("<h2>2</h2><h1>H</h1>").title == "H"
    assert read("<p>x").title is None
    assert read("<meta http-equiv=content-language content=fr>").declared_language == "fr"
    assert extract(b"<p>x", URL, headers={"content-language": "ja"}).declared_language == "ja"
    assert extract(b"<html xml:lang=de>", URL, headers={"content-language": "ja"}).declared_language == "de"


def test_candidates_of_an_image_in_order() -> None:
    page = read(
        "<title>Page</title><h1>Head</h1><p>Before.</p><figure><a href=big.png>see <img src=i.png alt=Alt title=Title"
        " aria-label=Label> it</a><figcaption>Cap</figcaption></figure><p>After.</p>"
    )
    assert list(zip(page.pairs.text_source, page.pairs.text, page.pairs.text_position, strict=True)) == [
        ("alt", "Alt", None),
        ("caption", "Cap", 5),
        ("title", "Title", None),
        ("aria_label", "Label", None),
        ("link", "see it", None),
        ("heading", "Head", 0),
        ("before", "see", 2),
        ("after", "it", 4),
        ("page_title", "Page", None),
    ]
    assert set(page.pairs.position) == {3}
    assert set(page.pairs.region) == {"main"}
    assert page.nodes.text[5] == "Cap"


def test_link_text_is_that_of_the_whole_link() -> None:
    card = "<a href=x><div><img src=i></div><h3>Head</h3><p>Text</p></a><a href=y>other</a>"
    assert ("i", "link", "Head Text") in pairs(card)
    assert [row for row in pairs("<p>no <a href=x><img src=i></a> link") if row[1] == "link"] == []
    assert [row for row in pairs("<a name=x>anchor <img src=i></a>") if row[1] == "link"] == []


def test_surroundings_stay_in_their_region_and_section() -> None:
    markup = "<nav><p>menu</p></nav><img src=a><h2>H</h2><img src=b><p>text</p><h2>G</h2><img src=c><nav>end</nav>"
    assert pairs(markup) == [
        ("b", "heading", "H"),
        ("b", "after", "text"),
        ("c", "heading", "G"),
    ]


def test_a_text_surrounds_few_images_and_only_its_near_end() -> None:
    found = pairs(f"<p>{'a' * 3000}z</p>" + "".join(f"<img src={n}>" for n in range(10)) + f"<p>{'b' * 3000}</p>")
    assert [(ref, source) for ref, source, _ in found] == [
        *[(str(n), "before") for n in range(4)],
        *[(str(n), "after") for n in range(6, 10)],
    ]
    assert found[0][2] == "a" * 1999 + "z"
    assert found[-1][2] == "b" * 2000


def test_image_in_a_heading_has_that_heading() -> None:
    assert ("i", "heading", "New words") in pairs("<h1>Old</h1><h2>New <img src=i> words</h2>")


def test_alt_of_every_occurrence() -> None:
    markup = (
        "<img src=i alt=a><p><img src=i alt=a><img src=i alt=''><img src=i alt><table><tr><td><img src=i alt=b></table>"
    )
    assert [text for _, source, text in pairs(markup) if source == "alt"] == ["a", "a", "b"]
    assert images(markup) == ["i"] * 5


@pytest.mark.parametrize(
    ("markup", "refs"),
    [
        ("<base href=../x/><img src=i.png>", ["https://a.test/x/i.png"]),
        ("<base href=//c.test/><base href=/no/><img src=i.png>", ["https://c.test/i.png"]),
        ("<img src='i.png' srcset='s.png 1x, l.png 2x'>", ["i.png"]),
        ("<img srcset='s.png 100w, l.png 900w' alt=x>", ["l.png"]),
        ("<picture><source srcset='l.webp 2x, s.webp'><img src=i.png></picture>", ["i.png"]),
        ("<picture><source srcset='s.webp, l.webp 2x'><img alt=x></picture><img alt=y>", ["l.webp"]),
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' data-src=i.png>", ["i.png"]),
        ("<img src=/img/blank.gif data-original=i.png>", ["https://a.test/docs/i.png"]),
        ("<img src=preview.jpg data-src=i.jpg>", ["preview.jpg"]),
        ("<img data-src=true data-lazy-src=i.png>", ["i.png"]),
        ("<img class=lazy data-srcset='s.png 1x, l.png 2x'>", ["l.png"]),
        ("<p><noscript><img src=b.png></noscript><img data-original=r.png data-actualsrc=b.png>", ["b.png"]),  # Zhihu
        ("<img data-src=i.png alt=x><noscript><img src=i.png alt=x></noscript>", ["i.png"]),
        ("<p><noscript><img src=i.png></noscript><img src='data:,' data-src=i.png>", ["i.png"]),
        ("<noscript><img src=i.png></noscript><noscript><img src=i.png></noscript>", ["i.png", "i.png"]),
        ("<input type=IMAGE src=i.png alt=Go><input src=no.png>", ["i.png"]),
        ("<object type=image/svg+xml data=i.svg>text <img src=f.png></object>", ["i.svg", "f.png"]),
        ("<object data=movie.swf>text</object><embed src=i.png><embed src=x.pdf>", ["i.png"]),
        ("<video poster=i.jpg><source src=v.mp4>old browser</video>", ["i.jpg"]),
        ("<a href=x><img src=1></a><li><img src=2><h2><img src=3></h2><nav><img src=4></nav>", ["1", "2", "3", "4"]),
        (
            "<img src=' i\n.png#x '><img src='file:///i.png'><img src='javascript:x'><img src='blob:x'><img src='#'>",
            ["i.png"],
        ),
        ("<img><img src><img src=''><img src=' '>", []),
    ],
)
def test_addresses(markup: str, refs: list[str]) -> None:
    assert images(markup) == [ref.removeprefix("https://a.test/docs/") for ref in refs]


def test_noscript_copies_lend_their_texts() -> None:
    assert pairs("<img data-src=i.png><noscript><img src=i.png alt=Full></noscript>") == [("i.png", "alt", "Full")]


def test_data_uris_are_embedded() -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    page = read(
        f"<img src='{uri}' alt=a><img src='{uri}'><img src='data:image/svg+xml,%3Csvg%2F%3E'><img src='data:text/x,a'>"
    )
    first, second = f"data:sha256,{digest(png)}", f"data:sha256,{digest(b'<svg/>')}"
    assert page.nodes.image_ref == [first, first, second]
    assert page.embedded == {first: png, second: b"<svg/>"}
    assert page.pairs.image_ref[0] == first


def test_legacy_encodings() -> None:
    body = "<meta charset=big5><title>圖像</title><img src=圖.png alt=說明>".encode("big5")
    page = extract(body, URL)
    assert (page.title, page.charset, page.pairs.text[0]) == ("圖像", "big5", "說明")
    assert page.nodes.image_ref == ["https://a.test/docs/%E5%9C%96.png"]
