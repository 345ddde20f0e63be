"""The pictures of docs/explorer.md, from the demo's corpus: `make demo`, then `.venv/bin/python docs/screenshots.py`.

They need the Chromium of the machine, and are no test: what they show is looked at by people.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import browsing  # noqa: E402

CORPUS = ROOT / "demo" / "corpus"
REFUSED = "06d74199153db3826f45323a454f4cc5"
DESK, PHONE = (1280, 800), (390, 844)
COLOURS = 192
# Name → address, size, dark or not.
PICTURES: dict[str, tuple[str, tuple[int, int], bool]] = {
    "grid": ("/?unit=pair&where=language+%3D+%27zh%27&is=strong", DESK, False),
    "sides": ("/?unit=image&split=figures", DESK, False),
    "why": (f"/image/{REFUSED}", DESK, False),
    "funnel": ("/funnel?selection=strong", DESK, False),
    "thresholds": ("/thresholds?selection=figures&step=2&value=100", DESK, False),
    "distributions": ("/distributions", DESK, True),
    "compare": ("/compare?a=strong&b=weak", DESK, False),
    "phone": ("/?unit=image&lang=zh", PHONE, False),
}


def main() -> None:
    """Write docs/pictures/NAME.png, each with few colours, so that all of them stay small."""
    if not (CORPUS / "corpus.json").is_file():
        sys.exit("docs/screenshots.py shows the demo's corpus: run make demo first")
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    with browsing.served(CORPUS) as address, browsing.chromium() as browser:
        for name, (url, (width, height), dark) in PICTURES.items():
            data = taken(browser, address, url, {"width": width, "height": height}, "dark" if dark else "light")
            picture = Image.open(io.BytesIO(data)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            picture.save(folder / f"{name}.png", optimize=True)
            print(folder / f"{name}.png", (folder / f"{name}.png").stat().st_size)


def taken(browser: Any, address: str, url: str, viewport: dict[str, int], scheme: str) -> bytes:
    """A page as it looks when everything has come."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, locale="en-US")
    context.add_cookies([{"name": "tuwen_blur", "value": "off", "url": address}])
    page = context.new_page()
    page.goto(address + url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    data: bytes = page.screenshot()
    context.close()
    return data


if __name__ == "__main__":
    main()
