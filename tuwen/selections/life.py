"""A life: what `tuwen why` found out about one row, as plain values and for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

SHOWN_CHARACTERS = 160
SHOWN_NUMBERS = 4  # of a vector
SHOWN_ROWS = 5
TAKEDOWN = "tombstone"  # name of the first step of every selection, and of its value, the reason


@dataclass(frozen=True)
class Cell:
    """A column's value and the stage that wrote it (None: it came with the row). Bytes appear as their size."""

    name: str
    value: Any
    stage: str | None


@dataclass(frozen=True)
class Verdict:
    """What a selection said of a row of its own unit. `because`: inside another selection, what that one said."""

    selection: str
    unit: str
    id: str
    kept: bool
    step: int | None = None  # 0: taken down
    name: str | None = None
    rule: str | None = None
    value: Any = None
    because: Verdict | None = None


@dataclass(frozen=True)
class Relation:
    """A selection of another unit: how many of the rows that belong to this one it keeps, and its word on the first.

    `rows`: verdicts of at most five, kept ones first. `refused`: name of each refusing step → how many of the rows.
    """

    selection: str
    unit: str
    num_rows: int
    num_kept: int
    rows: tuple[Verdict, ...]
    refused: Mapping[str, int]


@dataclass(frozen=True)
class Life:
    """Everything that a corpus knows of one image, pair or document.

    `origin`: `source`, `source_unit`, `location` of that unit, and by kind: of an image `texts`, `pages` and
    `fetches`; of a pair `document`, `image` and `other_texts` of the same image; of a document `images`. Lists hold at
    most 20 rows.
    """

    kind: str
    id: str
    origin: Mapping[str, Any]
    columns: tuple[Cell, ...]
    verdicts: tuple[Verdict, ...]
    relations: tuple[Relation, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values with the names of the fields; times in ISO 8601, bytes as their number, nan and inf as text."""
        return dict(_plain(asdict(self)))


def render(life: Life, *, brief: bool = False) -> RenderableType:
    """A rich renderable: the verdicts, then (unless `brief`) origin and columns. Values are text, never markup."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(f"{life.kind} {life.id}", style="bold"), *_verdicts(life)]
    if not brief:
        parts += [_origin(life), _columns(life)]
    return Group(*parts)


def words(value: Any) -> str:
    """One value on one line, cut where it gets long."""
    if value is None:
        return "—"
    if isinstance(value, list) and len(value) > SHOWN_NUMBERS and all(isinstance(each, float) for each in value):
        return f"{', '.join(f'{each:.3g}' for each in value[:SHOWN_NUMBERS])}, … ({len(value)} numbers)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _table(title: str, *headings: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=bool(headings))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _add(table: Table, *cells: Any) -> None:
    from rich.text import Text

    table.add_row(*(cell if isinstance(cell, Text) else Text(words(cell)) for cell in cells))


def _origin(life: Life) -> Table:
    table = _table("\nWhere it came from")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in life.origin.items():
        if name.startswith("num_"):
            continue  # said below each list that is cut
        if isinstance(value, Mapping):
            _add(table, name, _line(value))
        elif not isinstance(value, Sequence) or isinstance(value, str):
            _add(table, name.replace("_", " "), value)
        else:
            for row in value[:SHOWN_ROWS]:
                _add(table, name.replace("_", " "), _line(row))
            if len(value) > SHOWN_ROWS:
                _add(table, "", f"… and {life.origin[f'num_{name}'] - SHOWN_ROWS} more")
    return table


def _line(row: Mapping[str, Any]) -> str:
    return " · ".join(words(str(value)) for value in row.values() if value is not None)


def _columns(life: Life) -> Table:
    """All columns but the errors that did not happen; `to_json` has those too."""
    table = _table("\nColumns", "column", "value", "stage")
    for cell in life.columns:
        if cell.value is not None or not cell.name.endswith("_error"):
            _add(table, cell.name, cell.value, cell.stage or "")
    return table


def _verdicts(life: Life) -> list[RenderableType]:
    """A line per selection; below those of another unit, a line per different reason."""
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = []
    for verdict in life.verdicts:
        lines.append(Padding(Text.assemble((verdict.selection, "cyan"), ": ", _reason(verdict)), (0, 0, 0, 2)))
    for relation in life.relations:
        lines.append(Padding(Text.assemble((relation.selection, "cyan"), ": ", _counts(relation)), (0, 0, 0, 2)))
        same: dict[str, list[Verdict]] = {}
        for verdict in relation.rows:
            same.setdefault(_reason(verdict).plain, []).append(verdict)
        for verdicts in same.values():
            ids = " ".join(verdict.id[:8] for verdict in verdicts)
            lines.append(Padding(Text.assemble((f"{relation.unit} {ids} ", "dim"), _reason(verdicts[0])), (0, 0, 0, 6)))
        if relation.num_rows > len(relation.rows):
            steps = "; ".join(
                f"{count} taken down" if name == TAKEDOWN else f"{count} at {name}"
                for name, count in relation.refused.items()
            )
            lines.append(Padding(Text(f"… refused in all: {steps or 'none'}", style="dim"), (0, 0, 0, 6)))
    return lines or [Text("  No selections yet.", style="dim")]


def _reason(verdict: Verdict) -> Text:
    """`kept`, or where it was refused, by which rule, with the values that the rule saw, and the reason behind it."""
    from rich.text import Text

    if verdict.kept:
        return Text("kept", style="green")
    if not verdict.step:
        reason = verdict.value.get(TAKEDOWN) if isinstance(verdict.value, Mapping) else verdict.value
        return Text.assemble(("taken down", "red"), f" ({words(reason)})")
    text = Text.assemble(("refused", "red"), f" at step {verdict.step}, {verdict.name}")
    if verdict.rule not in (None, verdict.name):
        text.append(f": {verdict.rule}")
    if verdict.because:
        because = verdict.because
        text.append(f", because its {because.unit} {because.id[:8]} was ").append_text(_reason(because))
    elif isinstance(verdict.value, Mapping):
        text.append(f" [{', '.join(f'{name} = {words(value)}' for name, value in verdict.value.items())}]")
    elif verdict.value is not None:
        text.append(f" [{words(verdict.value)}]")
    return text


def _counts(relation: Relation) -> str:
    return f"keeps {relation.num_kept} of {relation.num_rows} {relation.unit}{'' if relation.num_rows == 1 else 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"num_bytes": len(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
