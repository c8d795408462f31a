"""From what was written to one compiled operation, and all that can be said of it before it runs.

Must not resolve anything.
"""
