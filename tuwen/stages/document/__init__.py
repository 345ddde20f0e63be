"""Stages over whole documents."""
