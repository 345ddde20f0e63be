"""Why a row was taken down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tuwen.explorer.snapshot import Snapshot
from tuwen.selections.places import Places

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
        images = {row.get("image_id")} - {None}
        urls = {row.get("image_ref"), row.get("url")} | {
            fetch["url"] for image in images for fetch in places.fetches_of(str(image), ["url"])
        }
        if kind == "pair" and row.get("document_id"):
            urls |= {each["url"] for each in places.rows("document", [row["document_id"]], ["url"])}
        for stone in stones:
            if _covers(stone, images, urls):
                return str(stone["reason"] or stone["kind"])
        origins = [each for each in row.get("derived_from") or [] if each not in seen]
        seen.update(origins[:MAX_ORIGINS])
        waiting += [("pair", each) for each in origins[:MAX_ORIGINS]]
    return "taken down"


def _covers(stone: Mapping[str, Any], images: set[Any], urls: set[Any]) -> bool:
    if stone["kind"] == "image":
        return stone["value"] in images
    if stone["kind"] == "url":
        return stone["value"] in urls
    hosts = {host_of(url) for url in urls if url}
    domain = str(stone["value"]).lower()
    return any(host == domain or host.endswith(f".{domain}") for host in hosts)


def host_of(url: str) -> str:
    """Lower-case host of a URL; empty where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
