"""What is on screen saved as a selection."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
