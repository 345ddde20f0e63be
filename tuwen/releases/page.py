"""One self-contained HTML page, put together from elements, never from strings.

Text comes from the web: whatever it is, it shows itself and does nothing. Elements escape it, control characters
(those of bidirectional text among them) become spaces, and each piece of it is isolated from the direction of the
others. The page forbids itself to load anything or to run any script.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

MAX_CHARACTERS = 120
_JOINERS = "\u200c\u200d"  # invisible, but they shape Persian words and emoji
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2433; --soft: #5b6577; --line: #dfe3ea; --card: #f6f7f9;
  --accent: #2563a8; --pale: #b9cce2; --warm: #b4500f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e4e8ef; --soft: #9aa4b5; --line: #2e3541;
  --card: #1c2129; --accent: #6ea8e6; --pale: #34506f; --warm: #e8955a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, "Segoe UI", "Noto Sans", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Noto Sans CJK SC", "Noto Sans Thai", "Noto Naskh Arabic", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.soft, figcaption, th { color: var(--soft); }
.soft, figcaption { font-size: .875rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0; padding: 0; }
.figures div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.figures dt { color: var(--soft); font-size: .8rem; }
.figures dd { margin: 0; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.grid { columns: 25rem auto; column-gap: 3rem; }
.block { min-width: 0; break-inside: avoid; margin-bottom: 1.25rem; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; table-layout: fixed; }
th { font-weight: 500; text-align: start; vertical-align: bottom; padding: .15rem .5rem .15rem 0; }
td { padding: .2rem .5rem .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 0; width: 5.2rem;
  white-space: nowrap; }
td.bar, th.bar { width: 32%; padding-top: .45rem; }
table.wide td.bar, table.wide th.bar { width: 30%; } .stack > figure, .stack > .block > figure { max-width: 34rem; }
td.bar svg { display: block; width: 100%; height: .75rem; }
bdi { display: inline-block; max-width: 100%; overflow: clip; vertical-align: top; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Noto Sans Mono", monospace; font-size: .78rem;
  color: var(--soft); display: block; overflow-wrap: anywhere; }
figure { margin: 0; max-width: 34rem; }
figure svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
.after { fill: var(--accent); } .before { fill: var(--pale); } .lost { fill: var(--pale); }
.rule { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.curve.of-after { stroke: var(--accent); } .curve.of-before { stroke: var(--warm); stroke-dasharray: 5 3; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin: 0 .35rem 0 .9rem;
  vertical-align: -.08rem; }
.key:first-child { margin-left: 0; } .of-before-key { fill: var(--warm); }
.key svg { display: block; width: 100%; height: 100%; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .75rem; }
@media (max-width: 34rem) { main { padding: 1.25rem .9rem 3rem; } h1 { font-size: 1.5rem; }
  td.number, th.number { width: 3.9rem; } table.wide td.bar, table.wide th.bar { width: 26%; }
  .judged { display: none; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #ccc; --card: #fff;
  --accent: #2563a8; --pale: #b9cce2; --warm: #b4500f; } main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; } .figures div { border: 1px solid var(--line); } }
"""


def el(tag: str, *children: Element | str | None, **attributes: str | float) -> Element:
    """An element. `class_` gives the attribute class, `text_anchor` text-anchor; nothing (None) is left out."""
    made = Element(tag, {_attribute(name): _value(value) for name, value in attributes.items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + plain_text(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + plain_text(child)
    return made


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return plain_text(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def plain_text(value: str) -> str:
    """`value` without characters that steer instead of showing."""
    return "".join(c if c.isprintable() or c in _JOINERS else " " for c in value)


def web(value: object, limit: int = MAX_CHARACTERS) -> Element:
    """Text of the web as an element of its own: one line, at most `limit` characters, in its own direction."""
    text = " ".join(plain_text(str(value)[: 4 * limit]).split())
    if not text:
        return el("i", "not known", class_="soft")
    return el("bdi", text if len(text) <= limit else text[: limit - 1] + "…", dir="auto")


def page(title: str, *content: Element) -> bytes:
    """The whole page, UTF-8."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", **{"http-equiv": "Content-Security-Policy"}, content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", " ".join(title[: 4 * MAX_CHARACTERS].split())[:MAX_CHARACTERS]),
        el("style", _STYLE),
    )
    html = el("html", head, el("body", el("main", *content)), lang="en")
    return f"<!doctype html>\n{tostring(html, encoding='unicode', method='html')}\n".encode()
