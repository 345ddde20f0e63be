"""From the bytes of a page to rows: nodes in reading order, candidate texts of every image, evidence of rights.

page.py        extract(): the whole road, in ten lines
charset.py     bytes → text
bounds.py      what hostile pages may not do to the parser
walk.py        the one pass over the tree; what is open, what was collected
elements.py    what each element does when it opens
regions.py     what classes, ids and roles mean, generator by generator
images.py      which address an image has
links.py       URLs as browsers request them, srcset, data: URIs
candidates.py  candidate texts of every image
rights.py      evidence of rights and opt-outs
content.py     what comes out: Page, Nodes, Pairs
rows.py        pages → Arrow batches
"""
