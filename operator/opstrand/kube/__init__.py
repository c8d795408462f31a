"""Everything that is known about talking to Kubernetes. Nothing is decided here; `core` decides."""
