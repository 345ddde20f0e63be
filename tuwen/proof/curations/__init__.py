"""Curations: what is done with the examples of an arm before it trains; one file per way.

A curation is called with columns and a seed, and gives columns: some of the rows, some of them again, or more columns.
"""
