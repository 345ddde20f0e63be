"""Selections: the only place that judges."""
