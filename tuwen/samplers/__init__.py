"""Samplers: which examples make a batch; one file per order."""
