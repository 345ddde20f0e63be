"""Occurrences of images, and the figures that give them their captions."""

from __future__ import annotations

from bisect import bisect


class Image:
    """One occurrence of an image and the candidate texts that only the walk can see."""

    position = -1  # in the page's nodes
    alt = title = aria_label = link = ""
    captions: tuple[int, ...] = ()  # positions of caption nodes
    in_heading = False
    in_noscript = False
    is_lazy = False  # its address was in an attribute that a script reads

    def __init__(self, ref: str) -> None:
        self.ref = ref


class Figure:
    """An open element whose captions belong to its images."""

    __slots__ = ("captions", "images", "in_title", "titled", "titles", "tooltip")

    def __init__(self, titled: bool) -> None:
        self.titled = titled
        self.tooltip = ""
        self.images: list[Image] = []
        self.captions: list[int] = []
        self.titles: list[int] = []
        self.in_title = False  # the next caption is a title

    def close(self) -> None:
        """Give titles and captions to the images.

        A title is for all of them. In a gallery, an image with a caption of its own does not take the gallery's.
        Where images and captions alternate, each image takes the next caption (the last one, where captions come
        first).
        """
        images = self.images if len(self.images) == 1 else [image for image in self.images if not image.captions]
        captions = self.captions
        if len(images) > 1 and len(captions) > 1:
            caption_first = captions[0] < images[0].position
            for image in images:
                following = bisect(captions, image.position)
                image.captions += (captions[following - 1 if caption_first else min(following, len(captions) - 1)],)
        elif captions:
            for image in images:
                image.captions += tuple(captions)
        if self.titles:
            for image in self.images:
                image.captions += tuple(self.titles)
