"""Adaptations: a trained model made another one for evaluation; one file per way."""
