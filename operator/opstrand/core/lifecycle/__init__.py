"""How the status of a run advances, and what a decision sees and says. Pure, total, idempotent.

Must not execute a decision.
"""
