"""Why a row was taken down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuwen.corpus.tables import host_of
from tuwen.corpus.tombstones import is_below
from tuwen.explorer.snapshot import Snapshot
from tuwen.selections.places import Places
from tuwen.selections.takedowns import HASH

MAX_ORIGINS = 100  # texts that a text was made of, that are looked at


def is_gone(snapshot: Snapshot, unit: str, row: int) -> bool:
    """Whether a row was taken down."""
    gone = snapshot.gone(unit)
    return gone is not None and bool(gone[row])


def reason(snapshot: Snapshot, places: Places, unit: str, row_id: str) -> str:
    """Why a row was taken down, as whoever did it put it; `taken down` where nothing was said."""
    stones = snapshot.corpus.table("tombstones").to_pylist()
    waiting, seen = [(unit, row_id)], {row_id}
    while waiting:
        kind, id_ = waiting.pop()
        (row,) = places.rows(kind, [id_]) or [{}]
        images = places.rows("image", [row["image_id"]]) if row.get("image_id") else []
        urls = {row.get("image_ref"), row.get("url")}
        urls |= {fetch["url"] for image in images for fetch in places.fetches_of(image["image_id"], ["url"])}
        if kind == "pair" and row.get("document_id"):
            urls |= {each["url"] for each in places.rows("document", [row["document_id"]], ["url"])}
        for stone in stones:
            if _covers(stone, images, urls):
                return str(stone["reason"] or stone["kind"])
        origins = [each for each in row.get("derived_from") or [] if each not in seen]
        seen.update(origins[:MAX_ORIGINS])
        waiting += [("pair", each) for each in origins[:MAX_ORIGINS]]
    return "taken down"


def removed(snapshot: Snapshot, unit: str, row_id: str) -> str | None:
    """Why an image that is no longer here was taken down; None where nobody took it down by its id."""
    if unit != "image":
        return None
    stones = snapshot.corpus.table("tombstones").to_pylist()
    found = (each for each in stones if each["kind"] == "image" and each["value"] == row_id)
    return next((str(each["reason"] or each["kind"]) for each in found), None)


def _covers(stone: Mapping[str, Any], images: list[dict[str, Any]], urls: set[Any]) -> bool:
    kind, value = stone["kind"], str(stone["value"])
    if kind == "image":
        return any(image["image_id"] == value for image in images)
    if kind == "near":
        told, _, radius = value.partition("/")
        known = [image[HASH] for image in images if image.get(HASH) is not None]
        return any((int(told, 16) ^ each).bit_count() <= int(radius) for each in known)
    if kind == "url":
        return value in urls
    return any(is_below(host_of(url), {value.lower()}) for url in urls if url)
