"""Stages over the text of a pair alone."""
