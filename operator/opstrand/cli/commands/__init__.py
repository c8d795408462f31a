"""One file per command: its options and what it does, in that order.

Must not be imported before that command is asked for.
"""
