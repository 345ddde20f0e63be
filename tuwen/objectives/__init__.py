"""Objectives: what training lowers; one file per loss."""
