"""What should not be seen, or not be trained on: numbers and evidence, never a verdict."""
