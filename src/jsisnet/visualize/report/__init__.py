"""HTML reports of a result and of a data set, each a single page.

May import the rest of `visualize` and what it may import.
Begin with `page` for a result and `data_page` for a data set.
"""
