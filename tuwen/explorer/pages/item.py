"""One image, pair or document: its picture, its texts, its columns, and why each selection kept or refused it."""

from __future__ import annotations

from tuwen.explorer.visit import Routes

ROUTES: Routes = ()
