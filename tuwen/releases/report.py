"""report.html: what a release is, in one page that can be read, printed and sent; it needs no network and no script.

It draws what the dataset card lists, and how the selection changed the corpus. No image is shown: whether one may be is
for people to say, not for a page that is written without being asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from tuwen.releases.card import counted, left_out, reencoding, title_of
from tuwen.releases.charts import bar, heat, histogram, ranks, shade_keys, swatch, two_bars
from tuwen.releases.distributions import HEAD, Clusters, Concepts, Distributions, Overlap
from tuwen.releases.manifest import Manifest
from tuwen.releases.measure import TOP, Counts, Measures
from tuwen.releases.page import el, page, web
from tuwen.selections.ledger import FunnelStep

REPORT = "report.html"
MAX_RULE = 300  # characters
MAX_DESCRIPTION = 2_000
Content = Element | str | None


def report(
    manifest: Manifest,
    measures: Measures,
    found: Distributions,
    funnels: Mapping[str, Sequence[FunnelStep]],
    lineage: Mapping[str, Any],
) -> bytes:
    """The file's bytes. `funnels` are by selection, the released one first."""
    sections = (
        ("How it was selected", _funnels(manifest, measures, funnels)),
        ("Texts", _texts(measures, found)),
        ("Images", _images(measures, found)),
        ("Concepts", _concepts(found.concepts)),
        ("Near-duplicates", [_clusters(each) for each in found.clusters]),
        ("Overlap with evaluation sets", _overlaps(found.overlaps)),
        ("Where it comes from", _origins(measures, found)),
        ("Rights", _rights(measures)),
    )
    content = [*_head(manifest, measures, lineage)]
    for title, blocks in sections:
        shown = list(blocks)
        if shown:
            wide = len(shown) == 1 or shown[0].find("table[@class='wide']") is not None
            content += [el("h2", title), el("div", *shown, class_="stack" if wide else "grid")]
    return page(title_of(manifest), *content, _foot(manifest))


def _head(manifest: Manifest, measures: Measures, lineage: Mapping[str, Any]) -> Iterator[Element]:
    unit, writer = manifest.selection["unit"], manifest.writer["name"]
    yield el("h1", web(title_of(manifest)))
    if lineage.get("description"):
        yield el("p", web(lineage["description"], MAX_DESCRIPTION))
    selected = el("p", "A selection of ", f"{unit}s, ", web(manifest.selection["name"]), class_="soft")
    described = f", released as {writer} by tuwen {manifest.tuwen_version}. {reencoding(manifest)}"
    selected[-1].tail = described
    yield selected
    judged = manifest.corpus[{"pair": "pairs", "image": "images", "document": "documents"}[unit]]["rows"]
    figures = [
        ("samples", f"{measures.num_samples:,}"),
        ("images", f"{measures.num_images:,}"),
        ("texts", f"{measures.num_texts:,}"),
        ("documents", f"{measures.num_documents:,}"),
        ("hosts", f"{measures.num_hosts:,}"),
        ("languages", f"{sum(1 for name, _ in measures.languages if name):,}"),
        (f"{unit}s kept of {judged:,}", _percent(measures.kept, judged)),
    ]
    tiles = [el("div", el("dt", name), el("dd", value)) for name, value in figures if value != "0"]
    yield el("dl", *tiles, class_="figures")


def _foot(manifest: Manifest) -> Element:
    return el(
        "footer",
        el("p", "All figures are counted on the rows of this release and of the corpus that it was selected from. "
           "manifest.json holds the SHA-256 of every file, this page included: tuwen verify checks them. recipe.json "
           "says how the corpus was made, decisions.parquet why rows were refused, datasheet.md what is not known."),
        el("p", f"Format {manifest.format} {manifest.format_version}, writer {manifest.writer['name']} "
           f"{manifest.writer['version']}."),
        class_="soft",
    )  # fmt: skip


def _funnels(manifest: Manifest, measures: Measures, funnels: Mapping[str, Sequence[FunnelStep]]) -> Iterator[Element]:
    definition = manifest.selection
    for name, funnel in funnels.items():
        released = name == definition["name"]
        unit = definition["unit"] if released else definition["builds_on"][name]["unit"]
        title = el("h3", web(name), f": {unit}s" + ("" if released else ", a selection that this one builds on"))
        after = None
        if released:
            gone = left_out(measures)
            after = el("p", f"Kept: {counted(measures.kept, unit)}. Left out at release: {gone}.", class_="soft")
        yield el("div", title, _funnel(funnel), after, class_="block")


def _funnel(funnel: Sequence[FunnelStep]) -> Element:
    total = max((step.judged for step in funnel), default=0)
    rows = []
    for step in funnel:
        rules = [rule for rule in getattr(step, "rules", ()) if rule.rule != step.name]
        several = len(rules) > 1  # then those that refused rows, and how many
        told = [
            el("code", web(rule.rule, MAX_RULE), f" ({rule.lost:,})" if several else None)
            for rule in rules
            if rule.lost or not several
        ]
        tooltip = f"{step.judged:,} judged, {step.lost:,} lost, {step.left:,} left"
        tooltip += f", {step.expected:,} expected" if step.expected is not None else ""
        left, judged = _share(step.left, total), _share(step.judged, total)
        rows.append((
            el("td", web(step.name), *told),
            el("td", bar(left, judged, tooltip=tooltip), class_="bar"),
            _number(step.judged, "number judged"), _number(step.lost), _number(step.left),
        ))  # fmt: skip
    heads = ("step", "left of all, and lost here", "judged", "lost", "left")
    return _rows(heads, rows, "wide")


def _texts(measures: Measures, found: Distributions) -> Iterator[Element]:
    if measures.languages:
        yield _counted(f"Languages of {measures.languages_of}", measures.languages)
    if measures.text_sources:
        yield _counted("Where texts stood", measures.text_sources)
    octaves = [(octave, rows) for octave, rows in found.lengths if octave >= 0]
    if octaves:
        empty = dict(found.lengths).get(-1, 0)
        caption = f"{found.lengths_of} by length, logarithmic; {empty:,} without any character."
        yield _figure(f"Lengths of {found.lengths_of}", histogram(octaves, "characters"), caption.capitalize())


def _images(measures: Measures, found: Distributions) -> Iterator[Element]:
    if measures.image_formats:
        yield _counted("Formats", measures.image_formats)
    if found.image_sizes:
        most = max(count for _, _, count in found.image_sizes)
        keys: list[Content] = ["Images in a cell: "]
        for square, text in shade_keys(most):
            keys += [square, text]
        chart = heat(found.image_sizes, "width in pixels", "height in pixels")
        yield _figure("Sizes", chart, *keys)
    if measures.image_sides:
        rows = [(el("td", side), *(_number(value) for value in values)) for side, values in measures.image_sides]
        yield _block("Pixels", _rows(("side", "least", "10 %", "median", "90 %", "most"), rows))


def _concepts(concepts: Concepts | None) -> Iterator[Element]:
    if concepts is None or not concepts.ranks_before:
        return
    curves = [(name, points) for name, points in
              (("before", concepts.ranks_before), ("after", concepts.ranks_after)) if points]  # fmt: skip
    caption: list[Content] = [
        "Both axes logarithmic. ",
        swatch("of-before-key"),
        "all pairs",
        swatch("after"),
        "released",
    ]
    yield _figure("Head and tail", ranks(curves, "rank of the concept", "pairs that mention it"), *caption)
    (head, total), (head_after, total_after) = concepts.head_before, concepts.head_after
    rows = [
        (el("td", "concepts mentioned"), _number(concepts.num_before), _number(concepts.num_after)),
        (el("td", "mentions"), _number(total), _number(total_after)),
        (el("td", f"share of the {HEAD} most frequent"), _text(_percent(head, total)),
         _text(_percent(head_after, total_after))),
        (el("td", "share beyond the most frequent tenth"), _text(_percent(concepts.tail_before, total)),
         _text(_percent(concepts.tail_after, total_after))),
    ]  # fmt: skip
    yield _block("Before and after", _rows(("", "all pairs", "released"), rows))
    most = max((before for _, before, _ in concepts.top), default=1)
    top = [
        (el("td", web(name)), _before_after(before / most, after / most, f"{before:,} before, {after:,} after"),
         _number(before), _number(after))
        for name, before, after in concepts.top
    ]  # fmt: skip
    yield _block("Most frequent of all pairs", _rows(("concept", "pairs", "all", "released"), top))


def _clusters(found: Clusters) -> Element:
    """Shares of rows, not rows: the release is smaller than the corpus, and the shapes are to be compared."""
    totals = [sum(count for _, count in side) for side in (found.before, found.after)]
    before, after = dict(found.before), dict(found.after)
    rows = []
    for octave in sorted(before.keys() | after.keys()):
        shares = _share(before.get(octave, 0), totals[0]), _share(after.get(octave, 0), totals[1])
        tooltip = f"{before.get(octave, 0):,} of all, {after.get(octave, 0):,} of those released"
        rows.append((
            el("td", _octave(octave)), _before_after(*shares, tooltip),
            _number(before.get(octave, 0)), _number(after.get(octave, 0)),
        ))  # fmt: skip
    told = None
    if found.num_clusters is not None:
        repeated = found.num_rows - found.num_clusters
        words = f"of {counted(found.num_clusters, 'cluster')}: {repeated:,} of them repeat another that is released."
        told = el("p", f"{found.num_rows:,} {found.table} released, {words}", class_="soft")
    heads = ("rows in its cluster", "share of rows", "all", "released")
    name = found.column.replace("_", " ").capitalize()
    return el("div", el("h3", f"{name}s: {found.table}"), _rows(heads, rows), told, class_="block")


def _overlaps(found: Sequence[Overlap]) -> Iterator[Element]:
    rows = [
        (el("td", f"{each.table} ({each.column})"), _number(each.before), _text(_percent(each.before, each.num_before)),
         _number(each.after), _text(_percent(each.after, each.num_after)))
        for each in found
    ]  # fmt: skip
    if rows:
        yield _block("Rows found in an evaluation set", _rows(("", "all", "share", "released", "share"), rows))


def _origins(measures: Measures, found: Distributions) -> Iterator[Element]:
    if measures.hosts:
        yield _counted(f"Hosts of {measures.hosts_of}", measures.hosts, of=measures.num_hosts)
    if found.sources:
        yield _counted(f"Sources of {found.sources_of}", found.sources)
    days = [(name, days) for name, days in (("Pages captured", measures.captured), ("Images fetched", measures.fetched))
            if days]  # fmt: skip
    if days:
        rows = [(el("td", name), el("td", first), el("td", last)) for name, (first, last) in days]
        yield _block("Days (UTC)", _rows(("", "first", "last"), rows))


def _rights(measures: Measures) -> Iterator[Element]:
    if measures.num_documents:
        yield _counted("Licences that documents name", measures.licenses)
    if measures.rights:
        yield _counted("What documents say of rights and opt-outs", measures.rights, share=False)
    if measures.image_rights:
        yield _counted("What servers say with images", measures.image_rights, share=False)


def _counted(title: str, counts: Counts, *, of: int | None = None, share: bool = True) -> Element:
    """A table with bars of the most frequent values; `of`: how many values there are, where `counts` is only a part."""
    shown = counts[:TOP]
    total, most = sum(rows for _, rows in counts), max((rows for _, rows in counts), default=1)
    whole = share and of is None
    rows = [
        (el("td", web(value)), el("td", bar(rows / most, tooltip=f"{rows:,}"), class_="bar"), _number(rows),
         *([_text(_percent(rows, total))] if whole else []))
        for value, rows in shown
    ]  # fmt: skip
    number = len(counts) if of is None else of
    rest = sum(rows for _, rows in counts[TOP:])
    more = None
    if number > len(shown):
        more = f"and {counted(number - len(shown), 'other')}" + (f" with {rest:,}" if rest else "")
    heads = ("", "", "rows", *(["share"] if whole else []))
    return _block(title, _rows(heads, rows), el("p", more, class_="soft") if more else None)


def _before_after(before: float, after: float, tooltip: str) -> Element:
    return el("td", two_bars(before, after, tooltip=tooltip), class_="bar")


def _block(title: str, *content: Content) -> Element:
    return el("div", el("h3", title), *content, class_="block")


def _figure(title: str, chart: Element, *caption: Content) -> Element:
    return _block(title, el("figure", chart, el("figcaption", *caption)))


def _rows(heads: Iterable[str], rows: Iterable[Iterable[Element]], name: str = "") -> Element:
    """A table; a heading looks like the cells below it."""
    body = [el("tr", *cells) for cells in rows]
    like = [cell.get("class", "") for cell in body[0]] if body else []
    titles = [el("th", head, class_=kind, scope="col") for head, kind in zip(heads, like, strict=True)] if like else []
    return el("table", el("thead", el("tr", *titles)), el("tbody", *body), class_=name)


def _number(value: int, kind: str = "number") -> Element:
    return el("td", f"{value:,}", class_=kind)


def _text(value: str) -> Element:
    return el("td", value, class_="number")


def _octave(octave: int) -> str:
    if octave < 1:
        return "1" if octave == 0 else "0"
    return f"{2**octave:,} to {2 ** (octave + 1) - 1:,}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(part: int, whole: int) -> str:
    return f"{100 * _share(part, whole):.1f} %"
