"""Views: a batch as training sees it; one file per way to look."""
