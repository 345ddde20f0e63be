"""Run as a script: build the recipe FILE into CORPUS; the test kills it."""

from __future__ import annotations

import sys

from tuwen.engine.build import build

if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), quiet=True)
