"""Every text of the interface has its Chinese, and no Chinese is left of a text that is gone."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import jinja2
import pytest

import tuwen.explorer
from tuwen.explorer import chinese
from tuwen.explorer.messages import translations

HOME = Path(tuwen.explorer.__file__).parent
AREAS = {name: table for name, table in vars(chinese).items() if re.fullmatch("_?[A-Z]+", name) and name != "CHINESE"}
ASKING = ("translated", "_")  # what is called with a text of ours
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%")


def texts() -> dict[str, set[str]]:
    """Text → files that show it."""
    found: dict[str, set[str]] = defaultdict(set)
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"])
    for file in sorted((HOME / "templates").glob("*.html")):
        for _, function, said in environment.extract_translations(file.read_text(encoding="utf-8")):
            assert function == "_", f"{file.name} uses {function}"
            found[said if isinstance(said, str) else said[0]].add(file.name)
    for file in sorted(HOME.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ASKING:
                for constant in ast.walk(node.args[0]):
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        found[constant.value].add(file.name)
    return found


def test_every_text_has_its_chinese() -> None:
    missing = defaultdict(list)
    for text, files in texts().items():
        if text not in chinese.CHINESE:
            missing[", ".join(sorted(files))].append(text)
    assert not missing, "no Chinese in tuwen/explorer/chinese.py for:\n" + "\n".join(
        f"{files}: {listed}" for files, listed in sorted(missing.items())
    )


def test_no_chinese_is_unused() -> None:
    known = texts()
    unused = {area: [text for text in table if text not in known] for area, table in AREAS.items()}
    assert not any(unused.values()), {area: listed for area, listed in unused.items() if listed}


def test_areas_agree() -> None:
    """One text has one Chinese, in whatever area it stands."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for area, table in AREAS.items():
        for text, its_chinese in table.items():
            said[text][area] = its_chinese
    differ = {text: areas for text, areas in said.items() if len(set(areas.values())) > 1}
    assert not differ


@pytest.mark.parametrize("area", sorted(AREAS))
def test_placeholders_are_kept(area: str) -> None:
    """All values that a text names are in its Chinese, so that nothing is lost and nothing fails."""
    for text, its_chinese in AREAS[area].items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(its_chinese)), text
        assert its_chinese.strip() and its_chinese != text, text


def test_english_is_what_stands_there() -> None:
    assert translations("en").gettext("Browse") == "Browse"
    assert translations("zh").gettext("Browse") == "浏览"
