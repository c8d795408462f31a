"""What a template may read, and how it is rendered.

Must not know where a value came from.
"""
