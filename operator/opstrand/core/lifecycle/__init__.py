"""What is done about a run, from what is seen of it: pure, total, idempotent.

Must not do any of it.
"""
