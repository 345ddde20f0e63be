"""Pages, one module each. A module offers `ROUTES`: method, path, handler, and the seconds that it may take."""
