"""Stages over attempts at URLs."""
