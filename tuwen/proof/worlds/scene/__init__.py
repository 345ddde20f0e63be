"""What the world `scenes` is made of: its words, its truth, how it is painted, described and read back."""
