"""Concepts: which entries of a list a text mentions, and what its subject is."""
