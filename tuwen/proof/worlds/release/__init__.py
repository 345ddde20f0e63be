"""What the world of releases is made of."""
