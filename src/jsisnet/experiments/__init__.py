"""The tables and figures of the paper, measured again.

May import every room except `cli`.
Begin with `table3`; each table or figure is one module.
"""
