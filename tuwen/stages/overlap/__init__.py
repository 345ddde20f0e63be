"""Overlap with evaluation data: what of a corpus also stands in a folder of benchmarks."""
