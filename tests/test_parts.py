"""Names in recipes become parts, and say so clearly when they don't."""

from __future__ import annotations

import pytest

from tuwen import parts
from tuwen.errors import UsageError


def test_a_name_is_a_module_path() -> None:
    part = parts.load("tuwen.stages", "image.properties")
    assert (type(part).__name__, parts.name_of(part)) == ("Properties", "image.properties")


@pytest.mark.parametrize("name", ["image.propertys", "no.such.thing", "", "..", "image", "image.__init__", "os"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="unknown name"):
        parts.load("tuwen.stages", name)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'image\.properties'"):
        parts.load("tuwen.stages", "image.propertys")


def test_code_from_elsewhere_needs_permission() -> None:
    with pytest.raises(UsageError, match="--allow-code"):
        parts.load("tuwen.stages", "tiny:Length")
    assert parts.load("tuwen.stages", "tiny:Length", {"factor": 3}, allow_code=True).factor == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"facto": 2}, "did you mean 'factor'"), ({"factor": "many"}, "factor = 'many'"), ([1], "must be a mapping")],
)
def test_parameters_are_validated(parameters: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parts.load("tuwen.stages", "tiny:Length", parameters, allow_code=True)  # type: ignore[arg-type]


def test_something_that_is_no_dataclass_is_refused() -> None:
    with pytest.raises(UsageError, match="not a dataclass"):
        parts.load("tuwen.stages", "pathlib:Path", allow_code=True)


def test_every_listed_name_loads() -> None:
    for package in ("tuwen.stages", "tuwen.sources", "tuwen.releases.writers"):
        names = parts.names_in(package)
        assert names
        for name in names:
            assert parts.load_class(package, name)
