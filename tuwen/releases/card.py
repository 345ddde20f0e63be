"""README.md: the dataset card of the Hugging Face hub. <https://huggingface.co/docs/hub/datasets-cards>

Every figure is measured on the rows of the release; what the data does not say is written as not known.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuwen.releases.manifest import Manifest
from tuwen.releases.measure import Counts, Measures
from tuwen.selections.ledger import FunnelStep

CARD = "README.md"
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
        "task_categories": TASKS[manifest.selection["unit"]],
        "tags": ["tuwen", "image-text", manifest.writer["name"]],
        "configs": [dict(config) for config in present],
        **declared,
    }


def title_of(manifest: Manifest) -> str:
    """Name of the dataset: recipe and selection."""
    return str(manifest.counts["name"])


def card(
    manifest: Manifest,
    measures: Measures,
    funnel: Sequence[FunnelStep],
    loading: Loading,
    lineage: Mapping[str, Any],
) -> bytes:
    """The whole card. `manifest.files` must list the shards."""
    import yaml

    matter = yaml.safe_dump(
        front_matter(manifest, measures, loading), sort_keys=False, allow_unicode=True, width=1_000_000
    )
    selection = yaml.safe_dump(manifest.selection, sort_keys=True, allow_unicode=True, width=110)
    stages = yaml.safe_dump({"stages": lineage["stages"]}, sort_keys=True, allow_unicode=True, width=110)
    parts = [
        f"---\n{matter}---",
        f"# {inline(title_of(manifest))}",
        f"{inline(str(lineage['description']))}\n" if lineage.get("description") else "",
        f"An image-text dataset made with tuwen {manifest.tuwen_version}: {numbers(measures)}. "
        f"Format `{manifest.writer['name']}`. `tuwen verify` checks every file against its SHA-256 in `manifest.json`.",
        "## Load it",
        loading.usage.strip(),
        "## What is in it",
        *_tables(measures, manifest.selection["unit"]),
        "## How it was selected",
        "Steps run in order, each over the rows that the one before left. `decisions.parquet` counts the refusals of "
        "each rule and lists those that may be published.",
        funnel_table(funnel),
        _left_out(measures),
        fenced(selection, "yaml"),
        "## How it was made",
        f"Read from {len(lineage['units'])} source unit(s), listed with every stage and column in `recipe.json`.",
        fenced(stages, "yaml"),
        "## Rights",
        "Images and texts belong to their authors. The licence list above is what pages said of themselves "
        f"({measures.num_licensed} of {measures.num_documents} documents said anything), not a legal opinion; whether "
        "a page's licence covers its images is not known. `datasheet.md` lists the opt-out evidence.",
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def numbers(measures: Measures) -> str:
    """One line of totals."""
    counted = [("rows", measures.num_samples), ("images", measures.num_images), ("texts", measures.num_texts)]
    counted += [("documents", measures.num_documents), ("hosts", measures.num_hosts)]
    return ", ".join(f"{count:,} {name}" for name, count in counted if count)


def _tables(measures: Measures, unit: str) -> Iterable[str]:
    of = "texts" if unit == "pair" else "documents, as declared"
    yield table(("language", of), measures.languages)
    if measures.text_sources:
        yield table(("text source", "texts"), measures.text_sources)
    if measures.image_formats:
        yield table(("image format", "images"), measures.image_formats)
    if measures.image_sides:
        rows = [(side, *values) for side, values in measures.image_sides]
        yield table(("pixels", "least", "10 %", "median", "90 %", "most"), rows)
    yield table(("host", "documents"), measures.hosts)
    yield table(("licence found", "documents"), measures.licenses)


def funnel_table(funnel: Sequence[FunnelStep]) -> str:
    """Step by step: judged = lost + left."""
    return table(
        ("step", "rule", "judged", "lost", "left"),
        [(step.step, step.name, step.judged, step.lost, step.left) for step in funnel],
    )


def _left_out(measures: Measures) -> str:
    if not measures.left_out:
        return f"All {measures.kept:,} rows that the selection kept are released."
    reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in sorted(measures.left_out.items()))
    return f"Of {measures.kept:,} rows that the selection kept, some are left out of the release ({reasons})."


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; values come from the web and are made harmless."""
    cells = [[inline(cell) for cell in row] for row in (header, *rows)]
    cells.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def inline(value: object) -> str:
    """`value` as Markdown that shows itself: one line, at most 120 characters, no markup."""
    if isinstance(value, int):
        return f"{value:,}"
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    if not text:
        return "not known"
    text = text if len(text) <= 120 else text[:119] + "…"
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", text)


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
