"""Two selections or two releases: added, removed, shifted."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
