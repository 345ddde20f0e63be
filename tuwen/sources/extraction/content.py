"""What extraction finds in a page: parallel lists that turn into Arrow columns without another pass over rows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Nodes:
    """The page in reading order. See `tuwen.corpus.tables.NODE` for the values."""

    kind: list[str] = field(default_factory=list)
    text: list[str | None] = field(default_factory=list)
    level: list[int | None] = field(default_factory=list)
    region: list[str] = field(default_factory=list)
    image_ref: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.kind)


@dataclass
class Pairs:
    """Candidate texts of the page's images. See `tuwen.corpus.tables.PAIRS` for the values."""

    position: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    text_source: list[str] = field(default_factory=list)
    text_position: list[int | None] = field(default_factory=list)
    image_ref: list[str] = field(default_factory=list)
    region: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.position)


@dataclass
class Page:
    """One page as extraction sees it."""

    title: str | None = None
    declared_language: str | None = None  # as written: html lang, else Content-Language
    charset: str | None = None  # WHATWG name of the encoding that the bytes were read with
    generator: str | None = None
    og_title: str = ""  # stands in where there is no <title>
    license: str | None = None  # of the rights, the first that names a licence
    rights: list[tuple[str, str]] = field(default_factory=list)  # (kind, value), see rights.py
    nodes: Nodes = field(default_factory=Nodes)
    pairs: Pairs = field(default_factory=Pairs)
    embedded: dict[str, bytes] = field(default_factory=dict)  # image_ref → bytes of a data: URI
