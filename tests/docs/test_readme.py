"""What the README shows in Python works as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_python_block_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    for part in ("examples/docs-crawl.yaml", "tuwen/demo/docs-crawl.warc.gz"):
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(ROOT / part, tmp_path / part)
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "language" in done.stdout


def test_the_recipe_in_the_readme_is_part_of_the_example() -> None:
    import yaml

    example = yaml.safe_load((ROOT / "examples" / "docs-crawl.yaml").read_text(encoding="utf-8"))
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    shown = yaml.safe_load(text)["strong"]

    def plain(step: dict[str, object]) -> object:
        rule = step.get("rule")
        return {"rule": rule["where"]} if isinstance(rule, dict) and "where" in rule else step

    whole = [plain(step) for step in example["selections"]["strong"]["steps"]]
    for step in shown["steps"]:
        assert plain(step) in whole
