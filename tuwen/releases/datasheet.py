"""datasheet.md: the questions of "Datasheets for Datasets", answered by measurement where that is possible.

What only people can answer (purpose, consent, upkeep) says so instead of guessing. <https://arxiv.org/abs/1803.09010>
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuwen.releases.card import (
    counted,
    evaluation_overlap,
    funnel_table,
    inline,
    left_out,
    numbers,
    reencoding,
    silence,
    table,
    title_of,
)
from tuwen.releases.decisions import DECISIONS
from tuwen.releases.manifest import Manifest
from tuwen.releases.measure import Measures
from tuwen.selections.ledger import FunnelStep

DATASHEET = "datasheet.md"
UNKNOWN = "Not known to tuwen."


def datasheet(
    manifest: Manifest,
    measures: Measures,
    funnels: Mapping[str, Sequence[FunnelStep]],
    lineage: Mapping[str, Any],
) -> bytes:
    """The file's bytes. `funnels` are by selection, the released one first."""
    sections = (
        ("Motivation", _motivation(lineage)),
        ("Composition", _composition(manifest, measures)),
        ("Collection", _collection(measures, lineage)),
        ("Preprocessing", _preprocessing(manifest, measures, funnels, lineage)),
        ("Uses", _uses()),
        ("Distribution", _distribution(measures)),
        ("Maintenance", _maintenance(manifest)),
    )
    lines = [f"# Datasheet: {inline(title_of(manifest))}"]
    for title, answers in sections:
        lines.append(f"## {title}")
        for question, answer in answers:
            lines += [f"**{question}**", answer]
    return ("\n\n".join(lines) + "\n").encode()


Answers = Iterable[tuple[str, str]]


def _motivation(lineage: Mapping[str, Any]) -> Answers:
    yield "Why was it made?", inline(lineage["description"], limit=None) if lineage.get("description") else UNKNOWN
    yield "Who made it, and who paid?", UNKNOWN


def _composition(manifest: Manifest, measures: Measures) -> Answers:
    unit = manifest.selection["unit"]
    with_texts = unit == "pair" and measures.sample == "image"
    yield (
        "What is a sample?",
        {
            "pair": f"An image and a text that {_giver(measures)} gives for it.",
            "image": "A distinct image.",
            "document": "A captured page: its texts and images in reading order.",
        }[unit]
        if not with_texts
        else f"A distinct image with every kept text that {_giver(measures)} gives for it.",
    )
    yield "How much is there?", f"{numbers(measures)}."
    yield (
        "Is it everything, or a sample?",
        f"What the selection kept ({counted(measures.kept, unit)}) of the corpus, whose tables had "
        + ", ".join(f"{entry['rows']:,} {name}" for name, entry in sorted(manifest.corpus.items()))
        + ". Whether those represent the web, or anything else, is not known to tuwen.",
    )
    yield "Which languages?", _table(("language", measures.languages_of), measures.languages)
    if measures.text_sources:
        yield "Where did the texts stand?", _table(("text source", "texts"), measures.text_sources)
    yield (
        "Are there labels or splits?",
        "No labels; one split, in the order of content hashes, which is a fixed shuffle.",
    )
    yield (
        "What is missing?",
        (f"Left out at release: {left_out(measures)}. Columns that a stage did not compute are null."),
    )
    yield (
        "Are there errors, noise or redundancies?",
        (
            f"Texts are as found, never corrected. Distinct images: {measures.num_images:,} in "
            f"{counted(measures.num_samples, 'sample')}; near-duplicates are not merged unless a rule below says so."
        ),
    )
    yield "Does it overlap with evaluation data?", evaluation_overlap(measures)
    yield (
        "Could it be harmful, or show people?",
        (
            "Pages of the open web can hold both. Only rules named in the selection looked for it; faces, names and "
            "other personal data were not searched for beyond those."
        ),
    )


def _giver(measures: Measures) -> str:
    return "a web page" if measures.num_documents else "a list"


def _collection(measures: Measures, lineage: Mapping[str, Any]) -> Answers:
    yield (
        "How was it acquired?",
        f"From {counted(len(lineage['units']), 'unit')} of recorded data; `recipe.json` names each."
        + (" Images that were only referenced were fetched from the web." if lineage.get("fetch") is not None else ""),
    )
    yield (
        "When?",
        (
            " ".join(
                f"{what} between {days[0]} and {days[1]} (UTC)."
                for what, days in (
                    ("Pages were captured", measures.captured),
                    ("Images were fetched", measures.fetched),
                )
                if days
            )
            or UNKNOWN
        ),
    )
    yield "From whom?", _table(("host", measures.hosts_of), measures.hosts)
    yield (
        "Did they consent, or opt out?",
        (
            "Consent was not asked. Rights and opt-out evidence found on the released pages, with the number of "
            "documents (a page without any said nothing, which is not consent):\n\n"
            + _table(("evidence", "documents"), measures.rights)
            + (
                "\n\nWhat the servers of released images said, with the number of images:\n\n"
                + _table(("evidence", "images"), measures.image_rights)
                if measures.image_rights
                else ""
            )
            + (f"\n\n{told}" if (told := silence(measures)) else "")
        ),
    )


def _preprocessing(
    manifest: Manifest,
    measures: Measures,
    funnels: Mapping[str, Sequence[FunnelStep]],
    lineage: Mapping[str, Any],
) -> Answers:
    removed = [f"By `{name}`:\n\n{funnel_table(funnel)}" for name, funnel in funnels.items()]
    yield (
        "What was done to it?",
        (
            f"{_images(manifest)} Scores and properties were computed by "
            f"{counted(len(lineage['stages']), 'stage')}, listed with their parameters in `recipe.json`."
        ),
    )
    yield "What was removed?", "\n\n".join([*removed, f"Left out at release: {left_out(measures)}."])
    yield "Is the raw data still there?", "In the corpus, from which other selections can be released."
    yield (
        "Is the software available?",
        f"tuwen {manifest.tuwen_version}, Apache-2.0; "
        f"writer {manifest.writer['name']} version {manifest.writer['version']}.",
    )


def _images(manifest: Manifest) -> str:
    changed = reencoding(manifest)
    return f"{changed} Texts are those of the source." if changed else "Image bytes and texts are those of the source."


def _uses() -> Answers:
    yield "What was it used for?", UNKNOWN
    yield (
        "What should it not be used for?",
        ("Identifying people, or anything that the licences and opt-outs above rule out. More is not known to tuwen."),
    )


def _distribution(measures: Measures) -> Answers:
    yield (
        "Under which licence?",
        (
            f"Of {counted(measures.num_documents, 'document')}, {measures.num_licensed:,} with one:\n\n"
            + _table(("licence found", "documents"), measures.licenses)
        ),
    )
    yield "Who distributes it, and how?", UNKNOWN


def _maintenance(manifest: Manifest) -> Answers:
    yield "Who keeps it, and how can they be reached?", UNKNOWN
    yield (
        "Can it be checked?",
        (
            "`tuwen verify` compares every byte with `manifest.json` and decodes every image. "
            f"`{DECISIONS}` holds {counted(manifest.decisions['num_rows'], 'row')} on what was refused and why."
        ),
    )
    yield "Will it change?", "No. A release is frozen; another selection or corpus makes another release."


def _table(header: tuple[str, ...], rows: Sequence[Sequence[object]]) -> str:
    return table(header, rows) if rows else "None found."
