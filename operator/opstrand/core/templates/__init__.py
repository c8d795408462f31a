"""What a template may read, and what becomes of it.

Must not know where a value came from.
"""
