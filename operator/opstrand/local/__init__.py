"""A cluster in this process, for `opstrand run --local`: the same `reconcile`, an in-memory Kube,
and processes for Pods.

Imports from `core` only what `reconcile` needs: there is no second engine here.
"""
