"""docs/add-a-method.md is executed as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tuwen

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def test_the_page_runs(tmp_path: Path) -> None:
    commands = []
    for kind, text in BLOCK.findall((ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")):
        if kind == "sh":
            commands += text.strip().splitlines()
        else:
            name = text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copy(Path(tuwen.__file__).parent / "demo" / "docs-crawl.warc.gz", tmp_path / "crawl.warc.gz")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, shell=True, cwd=tmp_path, env=environment, check=True, capture_output=True)
    funnel = subprocess.run(
        f"{commands[1]} --json", shell=True, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert "plausible words" in json.dumps(json.loads(funnel.stdout))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_word_length.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
