"""Evaluations: what a model can do, item by item; one file per benchmark."""
