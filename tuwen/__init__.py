"""tuwen (图文, "image-text"): from raw web to a proven image-text corpus for vision-language pre-training."""

__version__ = "0.1.0"
