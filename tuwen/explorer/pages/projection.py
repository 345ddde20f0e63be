"""The map: a projection of vectors to two dimensions, and what a lasso on it holds."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
