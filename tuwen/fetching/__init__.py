"""One polite fetcher: URLs in, exactly one recorded outcome for each, and the bytes of those that are images.

Knows nothing of corpora: `tuwen.engine.fetch` decides what is fetched and appends what came.
"""
