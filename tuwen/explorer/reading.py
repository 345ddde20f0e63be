"""A document as it reads: its nodes in order, with the images that the corpus has in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tuwen.explorer.cards import UNSCORED, safety
from tuwen.explorer.snapshot import KEPT, Snapshot

NODES = 400  # on one page; the next one has the rest
TEXT_CHARACTERS = 20_000  # of one node
PICTURES = ("image", "svg", "frame")


@dataclass(frozen=True)
class Node:
    """One node. `rows`: a table's cells, a list's items. `image_id`: where the corpus has the image; `refused`: the
    selections of images that refuse it; `gone`: it was taken down; `here`: it is the one that was asked for."""

    position: int
    kind: str
    text: str = ""
    level: int = 2
    rows: list[list[str]] = field(default_factory=list)
    image_ref: str | None = None
    image_id: str | None = None
    safety: str = UNSCORED
    refused: tuple[str, ...] = ()
    gone: bool = False
    here: bool = False
    time_s: float | None = None
    captions: tuple[str, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Whether it stands for something that is seen."""
        return self.kind in PICTURES


@dataclass(frozen=True)
class Region:
    """Nodes that follow each other in one region of the page; pictures that do so, with captions, as one group."""

    name: str
    nodes: list[Node]

    @property
    def groups(self) -> list[list[Node]]:
        """Runs of pictures, each with the captions behind it, and other nodes one by one."""
        found: list[list[Node]] = []
        for node in self.nodes:
            run = bool(found) and found[-1][-1].is_picture
            if run and node.kind == "caption":
                last = found[-1][-1]
                found[-1][-1] = replace(last, captions=(*last.captions, node.text))
            elif run and node.is_picture:
                found[-1].append(node)
            else:
                found.append([node])
        return found


@dataclass(frozen=True)
class Reading:
    """Some nodes of a document, by regions; `first` of `total`, and where the pages before and after start. `at`: where
    the image that was asked for stands first."""

    regions: list[Region]
    first: int
    total: int
    before: int | None
    after: int | None
    at: int | None = None


def reading(snapshot: Snapshot, row: Mapping[str, Any], at: str = "", first: int | None = None) -> Reading:
    """A document from node `first` on; by default from where it shows the image `at`, or from its start."""
    nodes, ids = row["nodes"] or [], row.get("image_ids") or []
    ids = [*ids, *[None] * (len(nodes) - len(ids))]
    places = [position for position, each in enumerate(ids) if at and each == at]
    if first is None:
        first = places[0] // NODES * NODES if places else 0
    first = min(max(first, 0), max(len(nodes) - 1, 0))
    shown = range(first, min(first + NODES, len(nodes)))
    pictures = _pictures(snapshot, [ids[position] for position in shown])
    regions: list[Region] = []
    for position in shown:
        node = _node(position, nodes[position], ids[position], at, pictures)
        name = nodes[position]["region"] or "main"
        if not regions or regions[-1].name != name:
            regions.append(Region(name, []))
        regions[-1].nodes.append(node)
    after = shown.stop if shown.stop < len(nodes) else None
    before = max(first - NODES, 0) if first else None
    return Reading(regions, first, len(nodes), before, after, next((each for each in places if each in shown), None))


def _node(
    position: int, node: Mapping[str, Any], image_id: str | None, at: str, pictures: Mapping[str, dict[str, Any]]
) -> Node:
    text = (node["text"] or "")[:TEXT_CHARACTERS]
    kind = node["kind"]
    rows = [line.split("\t") for line in text.splitlines() if line.strip()] if kind in ("list", "table") else []
    known = pictures.get(image_id or "", {})
    return Node(
        position,
        kind,
        text,
        min(max(node["level"] or 2, 1), 6),
        rows,
        node["image_ref"],
        image_id if known else None,
        here=bool(at) and image_id == at,
        time_s=node.get("time_s"),
        **known,
    )


def _pictures(snapshot: Snapshot, ids: list[str | None]) -> dict[str, dict[str, Any]]:
    """Id of each image that is there → its safety, who refused it, whether it was taken down."""
    wanted = sorted({each for each in ids if each})
    if not wanted:
        return {}
    rows = snapshot.rows_of("image", wanted)
    there = [each for each, row in zip(wanted, rows, strict=True) if row >= 0]
    rows = rows[rows >= 0]
    gone = snapshot.gone("image")
    verdicts = {name: snapshot.verdicts(name)[rows] for name, s in snapshot.selections.items() if s.unit == "image"}
    taken_down = gone[rows] if gone is not None else np.zeros(len(rows), bool)
    return {
        each: {
            "safety": safe,
            "refused": tuple(name for name, said in verdicts.items() if said[place] != KEPT),
            "gone": bool(taken_down[place]),
        }
        for place, (each, safe) in enumerate(zip(there, safety(snapshot, "image", rows), strict=True))
    }
