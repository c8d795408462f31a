"""Our own resources, in the shape of Kubernetes: runs and their logs, also those whose Operation is
gone.

Served to callers with a token, and behind the API server's aggregation layer to everyone with a
kubeconfig. The models make the answers and the OpenAPI document. Must not write anything.
"""
