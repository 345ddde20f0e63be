"""Stages over an image, a text and where they stood."""
