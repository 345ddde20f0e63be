"""The explorer: a local web page that shows a corpus, answers why, and cuts releases. `tuwen explore DIR`.

Rows are numbered in the order in which they are stored, and everything a page shows is a question about such numbers:
a selection's verdicts are an array over them, a picture's texts another, a filter a scan that ends when its time is up.
Nothing is copied into a database, so there is nothing that could differ from the corpus.
"""
