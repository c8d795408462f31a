"""The Kubernetes client. It imports nothing of `core` and decides nothing."""
