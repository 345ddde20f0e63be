"""One depth-first pass over a parsed page: its nodes in reading order, its images, and what stands around them.

The loop in `Walk.run` touches every node of the tree once, without recursion, and does nothing itself but collect
text. What an element does when it opens is one function in `elements.OPENERS`; what it returns is called when the
element closes. Elements without an entry are inline: their text belongs to the block around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from selectolax.lexbor import LexborNode

from tuwen.corpus.tables import digest
from tuwen.sources.extraction.content import Page
from tuwen.sources.extraction.figures import Figure, Image
from tuwen.sources.extraction.links import Resolver, data_bytes
from tuwen.sources.extraction.regions import Meaning

Close = Callable[["Walk"], None]
Opener = Callable[["Walk", LexborNode], "Close | None"]

_DEEPEST_FIGURE = 16  # each figure hands its images on to the one around it
# Characters of addresses and of shared texts that the images of one page may repeat. No honest page comes near;
# without it, a page of 50 MB could ask for terabytes (one long <base> or caption, a million images).
_BUDGET = 64_000_000
_LONGEST_CELL = 2_000  # characters; a longer cell is layout, not data


class Table:
    """An open data table. `Walk.leave_table` turns one that proves to be layout into plain blocks."""

    __slots__ = ("cells", "has_image", "rows")

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.cells: list[str] = []  # of the open row
        self.has_image = False  # the open row


class Walk:
    """State of the pass: what the open elements mean for the text that comes next."""

    def __init__(self, page: Page, resolver: Resolver) -> None:
        self.page = page
        self.resolver = resolver
        self.nodes: list[tuple[str, str | None, int | None, str, str | None]] = []  # as in content.Nodes
        self.images: list[Image] = []
        self.pieces: list[str] = []  # text since the last node
        self.kind = "text"
        self.level: int | None = None
        self.region = "main"
        self.separator: str | None = None  # set in blocks that stay one node whatever they hold
        self.mute_mark = -1  # while text is hidden: how many pieces to keep
        self.sectioned = False  # inside main, article or section, where <header> is not the page's header
        self.num_noscripts = 0
        self._has_base = False
        self._references: dict[str, str | None] = {}
        self._budget = _BUDGET
        self.figures: list[Figure] = []
        self.table: Table | None = None
        self.tables: list[Table | None] = []
        self.sources: list[dict[str, str | None]] = []  # of the open <picture>
        self.link_mark = -1  # inside a link: index of its first piece
        self.link_pieces: list[str] = []  # text of the link that went into nodes already
        self.link_first_image = 0
        self._kinds: list[tuple[str, int | None, str | None]] = []
        self._frames: list[tuple[str, int, bool, Close | None]] = []

    def run(self, root: LexborNode, openers: Mapping[str | None, Opener]) -> None:
        """Walk the tree below `root`."""
        pieces = self.pieces
        stack: list[tuple[LexborNode, Close | None]] = []
        node = root
        while True:
            tag = node.tag
            if tag == "-text":
                if pieces or not node.is_empty_text_node:
                    pieces.append(node.text_content or "")
            else:
                opener = openers.get(tag)
                close = None if opener is None else opener(self, node)
                if close is not skip:
                    child = node.first_child
                    if child is not None:
                        stack.append((node, close))
                        node = child
                        continue
                    if close is not None:
                        close(self)
            following = node.next
            while following is None:
                if not stack:
                    self.flush()
                    return
                node, close = stack.pop()
                if close is not None:
                    close(self)
                following = node.next
            node = following

    def flush(self) -> None:
        """A block begins or ends: what was collected becomes a node, unless the block around it stays whole."""
        pieces = self.pieces
        if not pieces:
            return
        if self.mute_mark >= 0:
            del pieces[self.mute_mark :]
        elif self.separator is not None:
            if pieces[-1] != self.separator:
                pieces.append(self.separator)
        elif self.table is not None:
            if pieces[-1] != " ":
                pieces.append(" ")
        else:
            self.emit()

    def emit(self) -> None:
        """Make a node of the collected text, if there is any."""
        text = self.take()
        if text:
            if self.kind == "caption" and self.table is None:
                self._keep_caption(len(self.nodes))
            self.nodes.append((self.kind, text, self.level, self.region, None))

    def _keep_caption(self, position: int) -> None:
        """Note a caption for the open figure; one outside of figures is for the image right before it."""
        if not self.figures:
            if self.images and self.images[-1].position == position - 1:
                self.images[-1].captions += (position,)
            return
        figure = self.figures[-1]
        (figure.titles if figure.in_title else figure.captions).append(position)
        figure.in_title = False

    def take(self) -> str:
        """The collected text, white space collapsed (in code: as it is); nothing is left of it."""
        pieces = self.pieces
        if self.link_mark >= 0:
            self.link_pieces += pieces[self.link_mark :]
            self.link_pieces.append(" ")
            self.link_mark = 0
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        pieces.clear()
        return text.strip("\n").rstrip() if self.kind == "code" else collapsed(text)

    def open_kind(self, kind: str, level: int | None = None, separator: str | None = None) -> Close:
        """Open a block whose text is of this kind; with `separator`, it stays one node whatever it holds."""
        if self.pieces:
            self.flush()
        self._kinds.append((self.kind, self.level, self.separator))
        if self.separator is None:
            self.kind, self.level, self.separator = kind, level, separator
        return Walk.close_kind

    def close_kind(self) -> None:
        """Close what `open_kind` opened."""
        kind, level, separator = self._kinds.pop()
        if self.pieces:
            if self.separator is not None and separator is None and self.mute_mark < 0:
                self.emit()
            else:
                self.flush()
        self.kind, self.level, self.separator = kind, level, separator

    def open_figure(self, *, titled: bool) -> Close:
        """Open a figure; `titled` says that its captions may have the class `title`."""
        if self.pieces:
            self.flush()
        if self.separator is not None or len(self.figures) >= _DEEPEST_FIGURE:
            return Walk.flush
        if self.table is not None:
            self.leave_table()
        self.figures.append(Figure(titled))
        return Walk.close_figure

    def close_figure(self) -> None:
        """Close a figure: its captions go to its images, its images to the figure around it."""
        if self.pieces:
            self.flush()
        figure = self.figures.pop()
        if figure.tooltip:
            for image in figure.images:
                image.title = image.title or figure.tooltip
        if figure.captions or figure.titles:
            figure.close()
        if self.figures:
            self.figures[-1].images += figure.images

    def enter(
        self,
        meaning: Meaning | None,
        kind: str | None = None,
        *,
        level: int | None = None,
        separator: str | None = None,
        region: str | None = None,
        sectioned: bool = False,
    ) -> Close:
        """Open a block that means something: a region, a figure, a caption, hidden text, or several of these."""
        close_figure: Close | None = None
        hidden = False
        if meaning is not None:
            region, hidden = meaning.region or region, meaning.hidden
            if meaning.figure:
                close_figure = self.open_figure(titled=meaning.titled)
            elif kind != "heading" and self.is_caption(meaning):
                kind, separator = "caption", " "
                if not meaning.caption:
                    self.figures[-1].in_title = True
        if separator is not None and self.mute_mark < 0:
            self.leave_table()
        self.open_kind(kind or self.kind, level if kind else self.level, separator)
        self._frames.append((self.region, self.mute_mark, self.sectioned, close_figure))
        is_local = self.sectioned and region in ("header", "footer")
        if region == "main" or not (region is None or is_local or self.region == "navigation"):
            self.region = region
        if sectioned or region == "main":
            self.sectioned = True
        if hidden and self.mute_mark < 0:
            self.mute_mark = len(self.pieces)
        return Walk.leave

    def leave(self) -> None:
        """Close what `enter` opened."""
        self.close_kind()
        self.region, self.mute_mark, self.sectioned, close_figure = self._frames.pop()
        if close_figure is not None:
            close_figure(self)

    def mute(self) -> Close:
        """Hide the text of an inline element: the block around it goes on behind it."""
        if self.mute_mark >= 0:
            return _nothing
        self.mute_mark = len(self.pieces)
        return Walk.unmute

    def unmute(self) -> None:
        """Drop what was collected since `mute`."""
        del self.pieces[self.mute_mark :]
        self.mute_mark = -1

    def is_caption(self, meaning: Meaning) -> bool:
        """Whether an element with this meaning is a caption where it stands."""
        if not self.figures:
            return meaning.trailing and bool(self.nodes) and self.nodes[-1][0] == "image"
        return meaning.caption or (meaning.title and self.figures[-1].titled)

    def afford(self, num_characters: int) -> bool:
        """Whether the page may still repeat a text of this length; counts it."""
        self._budget -= num_characters
        return self._budget >= 0

    def reference(self, address: str) -> str | None:
        """What an image's address refers to: an http(s) URL, or the hash of a data: URI; None for anything else.

        The bytes of data: URIs go to `page.embedded`.
        """
        found = self._references.get(address, "")
        if found != "":
            return found
        if "data:" not in address[:9].lower():
            found = self.resolver.resolve(address)
        elif content := data_bytes(address):
            found = f"data:sha256,{digest(content)}"
            self.page.embedded[found] = content
        else:
            found = None
        self._references[address] = found
        return found

    def set_base(self, address: str) -> None:
        """Follow `<base href>`; the first one counts."""
        if not self._has_base:
            self._has_base = True
            self._references.clear()
            self.resolver.set_base(address)

    def add_image(self, image: Image) -> None:
        """Put an image into the reading order; it splits the block in which it stands, but no heading or caption."""
        if self.num_noscripts:
            image.in_noscript = True
        if self.images and self.images[-1].ref == image.ref and self._repeats(self.images[-1], image):
            return
        if self.mute_mark < 0 and self.separator is None:
            if self.table is not None:
                self._split_row(self.table)
            elif self.pieces:
                self.emit()
        elif self.kind == "heading":
            image.in_heading = True
        image.position = len(self.nodes)
        self.nodes.append(("image", None, None, self.region, image.ref))
        self.images.append(image)
        if self.figures:
            self.figures[-1].images.append(image)

    def open_table(self, *, layout: bool) -> Close:
        """Open a table; `layout` says that its cells are plain blocks."""
        self.flush()
        if self.table is not None:
            self.leave_table()
        self.tables.append(self.table)
        self.table = None if layout else Table()
        return Walk.close_table

    def close_table(self) -> None:
        """Close a table: what is left of its rows becomes a node."""
        if self.table is not None:
            self.take()
            self._emit_rows(self.table)
        else:
            self.flush()
        self.table = self.tables.pop()

    def leave_table(self) -> None:
        """The open table turns out to be layout: its rows so far become a node, the rest plain blocks."""
        if self.table is None:
            return
        self._split_row(self.table, partial=False)
        self.table = None
        self.emit()

    def close_cell(self) -> None:
        """Close a cell of a data table."""
        if self.table is None:
            self.flush()
            return
        text = self.take()
        if len(text) > _LONGEST_CELL:
            self.leave_table()
            self.nodes.append((self.kind, text, self.level, self.region, None))
        else:
            self.table.cells.append(text)

    def close_row(self) -> None:
        """Close a row of a data table; one that holds images is a node of its own."""
        table = self.table
        if table is None:
            self.flush()
            return
        row = "\t".join(table.cells).strip("\t") if table.has_image else "\t".join(table.cells)
        table.cells.clear()
        if row.strip():
            table.rows.append(row)
        if table.has_image:
            table.has_image = False
            self._emit_rows(table)

    def _emit_rows(self, table: Table) -> None:
        if table.rows:
            text = "\n".join(table.rows)
            table.rows.clear()
            kind = "table" if "\t" in text or "\n" in text else self.kind
            self.nodes.append((kind, text, self.level, self.region, None))

    def _split_row(self, table: Table, *, partial: bool = True) -> None:
        """Rows before this one become a node, and so does this row up to here."""
        if not table.has_image:
            self._emit_rows(table)
        cells = [*table.cells, self.take()] if partial else table.cells
        row = "\t".join(cells).strip("\t")
        table.cells.clear()
        if row:
            table.rows.append(row)
            self._emit_rows(table)
        table.has_image = True

    def _repeats(self, last: Image, image: Image) -> bool:
        """Whether two neighbours are a lazily loaded image and its <noscript> copy; keeps the fuller texts."""
        if last.in_noscript == image.in_noscript or not (last.is_lazy or image.is_lazy):
            return False
        for name in ("alt", "title", "aria_label"):
            setattr(last, name, getattr(last, name) or getattr(image, name))
        return True


def collapsed(text: str) -> str:
    """The text with every run of Unicode white space as one space, and none at its ends."""
    # The only white space that counts as printable is the space. Two looks are cheaper than taking text apart.
    if "  " not in text and text.isprintable():
        return text.strip()
    return " ".join(text.split())


def skip(walk: Walk) -> None:
    """Returned by an opener: there is nothing for us inside."""


def _nothing(walk: Walk) -> None:
    """Closes what changed nothing."""
