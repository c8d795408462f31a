"""A cluster in this process, for `opstrand run --local`: `reconcile`, an in-memory Kube, processes.

Imports from `core` only what `reconcile` needs: there is no second engine here.
"""
