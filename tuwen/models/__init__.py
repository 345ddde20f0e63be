"""Models that stages score with: loaded from what the user has, or counted from the corpus; nothing is downloaded."""
