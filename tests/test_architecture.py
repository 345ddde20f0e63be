"""Dependencies point down only, and the start-up stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tuwen

PACKAGE = Path(tuwen.__file__).parent
# From the top of the house to the ground. A package imports from its own floor and from those below it.
FLOORS = (
    "cli",
    "explorer",
    "proof",
    "engine",
    "releases",
    "selections",
    "fetching",
    "sources",
    "stages",
    "adaptations",
    "evaluations",
    "samplers",
    "views",
    "objectives",
    "models",
    "corpus",
    "parts",
    "errors",
    "files",
)
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def floor_of(module: str) -> int | None:
    words = module.split(".")
    return FLOORS.index(words[1]) if words[0] == "tuwen" and len(words) > 1 and words[1] in FLOORS else None


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = floor_of(".".join(["tuwen", *path.relative_to(PACKAGE).with_suffix("").parts]))
    for module in imports_of(path):
        other = floor_of(module)
        if own is not None and other is not None:
            assert other >= own, f"{path} imports {module}, which lives above it"


def test_every_package_has_its_floor() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"demo"}
    assert packages <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, tuwen.cli as c; c.make_parser([]).format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"lance", "pyarrow", "duckdb", "numpy", "PIL", "pydantic", "rich", "yaml", "torch", "ray"}
    assert not heavy & set(loaded)
