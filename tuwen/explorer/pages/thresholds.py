"""A threshold of a selection moved, and what crosses it."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
