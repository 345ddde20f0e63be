"""Examples: real images with texts to train and to be tested on; one file per layout.

A part has `load(folder, side, *, crop=False, workers=1) -> Streamed`. `folder` is for what it needs on disk: the index,
and copies of images where the layout gives no access to a single one. It is used again while the files stay as they
are. `side` and `crop`: how images become squares.
"""
