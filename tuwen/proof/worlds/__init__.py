"""Worlds: frozen generators of scenes whose truth is known; one file per world."""
