"""Stages over the pictures themselves."""
