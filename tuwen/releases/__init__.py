"""Releases: a selection, frozen. `write_release` cuts one, `verify` proves that a folder is one.

The bytes of a release are a function of the corpus' content, the selection and the writer's version: never of
workers, the order of inputs, restarts, time zone, hash seed, the clock or where the corpus lies.
"""
