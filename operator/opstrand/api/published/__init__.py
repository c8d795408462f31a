"""One module per group of paths; each offers `ROUTES`.

They parse, ask who keeps the runs, and answer.
"""
