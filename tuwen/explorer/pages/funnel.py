"""The steps of a selection, and how many rows each refuses."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
