"""How the corpus is spread: languages, hosts, sizes, scores, concepts, duplicates, opt-outs."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
