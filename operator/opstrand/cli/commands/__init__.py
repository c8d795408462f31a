"""One file per command: its options, then what it does.

Must not be imported before the user asks for that command.
"""
