"""How DuckDB joins what is released with the tables: it may hold the one, never the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tuwen.releases.content import Content, open_content

WIDE = {"pair": "text", "image": "width", "document": "url"}  # a column of the table of each unit, and of no other


def held(plan: dict[str, Any]) -> Iterator[str]:
    """What is written of the right sides of joins, which are held in memory."""
    for number, child in enumerate(plan["children"]):
        if "JOIN" in plan["name"] and number == 1:
            yield json.dumps(child)
        yield from held(child)


@pytest.mark.parametrize("unit", WIDE)
def test_a_table_is_never_held_to_be_joined(world: Any, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with open_content(world.corpus, world.ledgers[unit]) as content:
        monkeypatch.setattr(Content, "_stream", lambda self, sql, schema: iter([asked.append(sql)]))
        list(content.rows())
        found = content.connection.execute(f"EXPLAIN (FORMAT json) {asked[0]}").fetchall()[0][1]
    (plan,) = json.loads(found)
    sides = list(held(plan))
    assert sides, "no join: the plan has another shape; look at it"
    assert WIDE[unit] in found and not any(f'"{WIDE[unit]}"' in side for side in sides)
