"""Starts a Kubernetes to test against: a real API server in seconds, a real node in half a minute,
or kind where Docker is.

Owns everything between package registries and a kubeconfig. Must not know what opstrand does:
nothing here imports it, and nothing here installs it into the cluster beyond building its image.
"""
