"""README.md: the dataset card of the Hugging Face hub. <https://huggingface.co/docs/hub/datasets-cards>

Every figure is measured on the rows of the release; what the data does not say is written as not known.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuwen.releases.anatomy import Anatomy, Column
from tuwen.releases.manifest import Manifest
from tuwen.releases.measure import Counts, Measures
from tuwen.selections.ledger import FunnelStep

CARD = "README.md"
MAX_CELL = 120  # characters
LONG_TABLE = 12  # rows; longer lists of columns are folded away
MIN_LANGUAGE_SHARE = 0.005  # rarer ones are in the table, but mostly mistakes of detection on short texts
TASKS = {
    "pair": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
    "image": ["image-feature-extraction"],
    "document": ["image-text-to-text"],
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip
_LICENSES = (
    (r"publicdomain/zero/1\.0|\bcc0\b", "cc0-1.0"),
    (r"publicdomain/mark|\bpdm\b", "other"),
    (r"(?:licenses/|\bcc[ -])(by(?:-nc)?(?:-sa|-nd)?)[/ -](\d\.\d)", "cc-{0}-{1}"),
    (r"apache\.org/licenses/license-2\.0|apache[ -]2\.0", "apache-2.0"),
    (r"opensource\.org/licenses?/mit|^mit(?: license)?$", "mit"),
    (r"gnu\.org/(?:licenses|copyleft)/fdl|\bgfdl\b", "gfdl"),
)
_VERSIONED = {"cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
              "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
              "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"}  # fmt: skip  # what the hub has a name for


def hub_license(evidence: str) -> str:
    """The hub's identifier for a licence URL or name as found; `unknown` without evidence, `other` if it has none."""
    text = evidence.strip().lower()
    if not text:
        return "unknown"
    for pattern, name in _LICENSES:
        if match := re.search(pattern, text):
            found = name.format(*match.groups())
            return found if not found.startswith("cc-by") or found in _VERSIONED else "other"
    return "other"


def hub_languages(languages: Counts) -> list[str]:
    """ISO 639 codes of the languages with at least `MIN_LANGUAGE_SHARE` of the texts, most frequent first."""
    total = sum(rows for _, rows in languages)
    codes: list[str] = []
    for tag, rows in languages:
        code = tag.lower().split("-")[0].split("_")[0]
        if re.fullmatch(r"[a-z]{2,3}", code) and rows >= MIN_LANGUAGE_SHARE * total and code not in codes:
            codes.append(code)
    return codes


def size_category(rows: int) -> str:
    """The hub's word for a number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1T" if rows > 10**12 else "1B<n<10B")


@dataclass(frozen=True)
class Loading:
    """How a release is loaded: configurations and features for the hub, and a text for people."""

    configs: Sequence[Mapping[str, str]]
    features: Sequence[Mapping[str, Any]]
    usage: str


def front_matter(manifest: Manifest, measures: Measures, loading: Loading) -> dict[str, Any]:
    """The YAML in front of the card."""
    licenses = sorted({hub_license(value) for value, _ in measures.licenses}) or ["unknown"]
    present = [config for config in loading.configs if fnmatch.filter(manifest.files, config["data_files"])]
    declared = {"dataset_info": {"config_name": "default", "features": [*loading.features]}} if loading.features else {}
    return {
        "pretty_name": title_of(manifest),
        "license": licenses,
        "language": hub_languages(measures.languages),
        "size_categories": [size_category(measures.num_samples)],
        "task_categories": TASKS[manifest.selection["unit"]] if measures.num_images else ["text-generation"],
        "tags": ["tuwen", kind_of_data(measures), manifest.writer["name"]],
        "configs": [dict(config) for config in present],
        **declared,
    }


def kind_of_data(measures: Measures) -> str:
    """In a word."""
    return "image-text" if measures.num_images else "text"


def title_of(manifest: Manifest) -> str:
    """Name of the dataset: recipe and selection."""
    return str(manifest.counts["name"])


def card(
    manifest: Manifest,
    measures: Measures,
    funnels: Mapping[str, Sequence[FunnelStep]],
    loading: Loading,
    lineage: Mapping[str, Any],
    shown: Anatomy,
) -> bytes:
    """The whole card. `manifest.files` must list the shards; `funnels` are by selection, the released one first."""
    import yaml

    matter = yaml.safe_dump(
        front_matter(manifest, measures, loading), sort_keys=False, allow_unicode=True, width=1_000_000
    )
    stages = yaml.safe_dump({"stages": lineage["stages"]}, sort_keys=True, allow_unicode=True, width=110)
    parts = [
        f"---\n{matter}---",
        f"# {inline(title_of(manifest))}",
        inline(lineage["description"], limit=None) if lineage.get("description") else "",
        f"{kind_of_data(measures).capitalize()} dataset made with tuwen {manifest.tuwen_version}: {numbers(measures)}. "
        f"Format `{manifest.writer['name']}`. `report.html` draws what is below. `tuwen verify` "
        "checks every file against its SHA-256 in `manifest.json`.",
        _superseding(manifest),
        "## Load it",
        loading.usage.strip(),
        reencoding(manifest),
        "## What is in it",
        *_tables(measures),
        *_columns(shown),
        "## How it was selected",
        "Steps run in order, each over the rows that the one before left. `decisions.parquet` counts the refusals of "
        "each rule and lists those that may be published.",
        *_selections(manifest, measures, funnels),
        "## How it was made",
        f"Read from {counted(len(lineage['units']), 'source unit')}. `recipe.json` lists sources, stages and columns.",
        _fetched(lineage.get("fetch")),
        fenced(stages, "yaml"),
        "## Evaluation overlap",
        evaluation_overlap(measures),
        "## Rights",
        "Images and texts belong to their authors. The licence list above is what pages said of themselves "
        f"({measures.num_licensed:,} of {counted(measures.num_documents, 'document')} said anything), not a legal "
        "opinion; whether a page's licence covers its images is not known. `datasheet.md` lists the opt-out evidence.",
        silence(measures),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _superseding(manifest: Manifest) -> str:
    """What a patch asks of those who have the release before it."""
    if manifest.supersedes is None:
        return ""
    return (
        f"**This release replaces another one**, sealed `{manifest.supersedes['seal']}`, from which rows were taken "
        "down. Whoever has that one should delete it and use this."
    )


def reencoding(manifest: Manifest) -> str:
    """What was done to the images, where they are not the original bytes; else nothing."""
    options = manifest.writer["parameters"].get("reencode")
    if not options:
        return ""
    quality = "" if options["format"] == "png" else f", quality {options['quality']}"
    return (
        f"Images were re-encoded ({options['format']}{quality}, short side at most {options['short_side']} pixels, "
        "never enlarged; upright, in sRGB, first frame, no metadata). `image_id` and all columns and figures about "
        "images are those of the original bytes, which are not here; `sha256` is the digest of the bytes that are."
        + _blurring(manifest)
    )


def _blurring(manifest: Manifest) -> str:
    if not (column := manifest.writer["parameters"].get("blur")):
        return ""
    blurred, unchecked = (manifest.counts[name] for name in ("blurred_images", "unchecked_images"))
    return (
        f" Boxes of the column {inline(column)} were blurred, in {counted(blurred, 'image')}; "
        f"{counted(unchecked, 'image')} had no boxes to look at (null) and were not checked."
    )


def _fetched(settings: Mapping[str, Any] | None) -> str:
    """How images came from the web; nothing where none did."""
    if settings is None:
        return ""
    smaller = settings.get("reencode")
    changed = f" They were re-encoded as they arrived: {inline(str(smaller))}." if smaller else ""
    obeyed = " What hosts say about crawling and training was obeyed"
    but = f" as far as this: {inline(', '.join(settings['obey']) or 'nothing')}" if "obey" in settings else ""
    return f"Images that were only referenced were fetched from the web.{changed}{obeyed}{but}."


def numbers(measures: Measures) -> str:
    """One line of totals."""
    found = [("sample", measures.num_samples), ("image", measures.num_images), ("text", measures.num_texts)]
    found += [("document", measures.num_documents), ("host", measures.num_hosts)]
    return ", ".join(counted(count, name) for name, count in found if count)


def counted(count: int, name: str) -> str:
    """`1 host`, `1,326 hosts`."""
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def _tables(measures: Measures) -> Iterable[str]:
    if measures.languages:
        yield table(("language", measures.languages_of), measures.languages)
    if measures.text_sources:
        yield table(("text source", "texts"), measures.text_sources)
    if measures.image_formats:
        yield table(("image format", "images"), measures.image_formats)
    if measures.image_sides:
        rows = [(side, *values) for side, values in measures.image_sides]
        yield table(("pixels", "least", "10 %", "median", "90 %", "most"), rows)
    yield table(("host", measures.hosts_of), measures.hosts)
    if measures.num_documents:
        yield table(("licence found", "documents"), measures.licenses)


def funnel_table(funnel: Sequence[FunnelStep]) -> str:
    """Step by step: judged = lost + left; where a step drew by chance, how many it should have left."""
    heads = ("step", "rule", "judged", "lost", "left")
    rows = [(step.step, step.name, step.judged, step.lost, step.left) for step in funnel]
    if not any(step.expected is not None for step in funnel):
        return table(heads, rows)
    expected = ("–" if step.expected is None else step.expected for step in funnel)
    return table((*heads, "expected"), [(*row, cell) for row, cell in zip(rows, expected, strict=True)])


def _columns(shown: Anatomy) -> Iterable[str]:
    """The first sample, and every column."""
    if shown.example:
        yield "## Example"
        yield "The first sample, without nulls and without what stages computed; long values are cut."
        yield fenced(json.dumps(shown.example, ensure_ascii=False, indent=2), "json")
    if shown.columns:
        yield "## Columns"
        yield "Written by a stage (its parameters are in `recipe.json`), read from the source, or made by the release."
    for folder, columns in shown.columns.items():
        text = table(("column", "type", "written by", "first value"), [_cells(column) for column in columns])
        title = f"<code>{folder}/</code>: {counted(len(columns), 'column')}"
        yield f"<details><summary>{title}</summary>\n\n{text}\n\n</details>" if len(columns) > LONG_TABLE else text


def _cells(column: Column) -> tuple[str, ...]:
    value = column.value if isinstance(column.value, str) else json.dumps(column.value, ensure_ascii=False)
    return column.name, column.type, column.origin, value if value else '""'


def _selections(manifest: Manifest, measures: Measures, funnels: Mapping[str, Sequence[FunnelStep]]) -> Iterable[str]:
    """Funnel and definition of the selection, then of each that it builds on."""
    import yaml

    definition = dict(manifest.selection)
    inner = definition.pop("builds_on", {})
    for name, funnel in funnels.items():
        released = name == definition["name"]
        described = definition if released else inner[name]
        if not released:
            yield f"### {inline(name)}: a selection of {described['unit']}s"
            yield f"What a step `within {name}`, or `images: {name}`, refers to."
        yield funnel_table(funnel)
        if released:
            yield f"Kept: {counted(measures.kept, definition['unit'])}. Left out of the release: {left_out(measures)}."
        yield fenced(yaml.safe_dump(described, sort_keys=True, allow_unicode=True, width=110), "yaml")


def evaluation_overlap(measures: Measures) -> str:
    """What was compared with benchmarks, one line each, and how much of it stands in them."""
    return "\n".join(f"- {inline(overlap.sentence, limit=None)}" for overlap in measures.overlaps)


def silence(measures: Measures) -> str:
    """For how much of the release nothing is known of objections; nothing where all of it has evidence."""
    of = ((measures.silent_documents, measures.num_documents, "document"),
          (measures.silent_images, measures.num_images, "image"))  # fmt: skip
    found = [f"{silent:,} of {counted(total, noun)}" for silent, total, noun in of if silent]
    return (
        f"Opt-outs: there is no evidence for {' and '.join(found)}, either because nothing was said there or because "
        "nobody looked. That is not consent, and a rule such as `nobody objected` lets these pass."
        if found
        else ""
    )


def left_out(measures: Measures) -> str:
    """Why rows that the selection kept are not released, with their number."""
    return ", ".join(f"{reason} ({rows:,})" for reason, rows in sorted(measures.left_out.items())) or "nothing"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; values come from the web and are made harmless."""
    cells = [[inline(cell) for cell in row] for row in (header, *rows)]
    cells.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def inline(value: object, limit: int | None = MAX_CELL) -> str:
    """`value` as Markdown that shows itself: one line, at most `limit` characters, no markup."""
    if isinstance(value, int):
        return f"{value:,}"
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    if not text:
        return "not known"
    text = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", text)


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
