"""The crawl that ships with tuwen; ATTRIBUTION.md beside it says whose work it holds."""
