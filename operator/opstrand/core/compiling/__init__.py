"""From a written operation to one compiled operation, and all that can be validated before it runs.

Must not resolve anything.
"""
