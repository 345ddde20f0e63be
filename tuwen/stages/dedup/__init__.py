"""Stages that find near-duplicates: edges between rows in, a cluster and its size out (`clusters.py`)."""
