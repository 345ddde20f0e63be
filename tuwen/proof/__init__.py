"""Proof: claims about data and methods, registered, run with several seeds, answered with an interval."""
