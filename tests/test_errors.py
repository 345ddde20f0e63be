"""What libraries say, as a person may read it."""

from __future__ import annotations

import pytest

from tuwen.errors import first_line


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Object not found: a/b, /home/runner/lance/rust/src/utils.rs:34:12", "Object not found: a/b"),
        ("LanceError(IO): early end, /rustc/48a229/library/core/src/function.rs:250:5", "LanceError(IO): early end"),
        ("cannot open /home/me/a, /home/me/b", "cannot open /home/me/a, /home/me/b"),
        ("one\ntwo", "one"),
        ("", "ValueError"),
    ],
)
def test_where_in_a_library_it_happened_is_left_out(said: str, told: str) -> None:
    assert first_line(ValueError(said)) == told
