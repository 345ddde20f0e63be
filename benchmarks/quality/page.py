"""Write docs/quality.md: precision and recall of every detector, measured on this machine now.

    python benchmarks/quality/page.py [NAME ...]          # make quality

Every other file of this folder measures one detector: its docstring says on what data and how, and its `tables()`
gives a list of `(caption, header, rows)`, all of them text. Data come from frozen generators and from the pages that
ship with the demo, so the page is the same wherever it is made. With names, only those are measured and printed.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "quality.md"
NOTICE = "<!-- Made by `make quality` from what it measured. -->\n"
INTRODUCTION = """# How good are the detectors?

Precision is the share of what a detector found that is right, recall the share of what is there that it found. Every
table is measured by `make quality` on data whose truth is known: planted by a generator, or real pages with the
labels that their authors gave.
"""


def measured() -> list[Path]:
    """The files that measure, by name."""
    return sorted(path for path in HERE.glob("*.py") if path.stem != "page")


def section(path: Path) -> str:
    """One detector's part of the page."""
    module = loaded(path)
    title, _, about = (inspect.getdoc(module) or path.stem).partition("\n")
    parts = [f"## {title.rstrip('.')}\n\n{about.strip()}\n"]
    for caption, header, rows in module.tables():
        lines = [caption + "\n", _row(header), _row(["---"] * len(header)), *map(_row, rows)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def loaded(path: Path) -> ModuleType:
    """The module in a file that no package holds."""
    spec = importlib.util.spec_from_file_location(f"quality_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if chosen := sys.argv[1:]:
        print("\n".join(section(HERE / f"{name}.py") for name in chosen))
    else:
        PAGE.write_text("\n".join([NOTICE, INTRODUCTION, *map(section, measured())]), encoding="utf-8")
        print(PAGE)
