"""Releases: cutting one from a selection, and what others hold."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
