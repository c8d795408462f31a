"""From a plan to Kubernetes objects: the only place that knows the fields to write.

Must not decide whether the objects are created.
"""
