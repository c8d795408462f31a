"""From an operation and its bindings to the plan of a run, before any Kubernetes object. Pure."""
