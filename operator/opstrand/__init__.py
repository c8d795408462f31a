"""opstrand: run polyaxonfile components and operations on Kubernetes.

Nothing is imported here: `import opstrand.client` must stay cheap inside users' images.
"""

__version__ = "0.1.0"
