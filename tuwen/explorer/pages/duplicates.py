"""Groups of near-duplicates with their members and distances."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
