"""From a plan to Kubernetes objects: the only place that knows their fields for writing.

Must not decide whether they are made.
"""
