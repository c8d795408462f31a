"""Which of two bodies of one object is newer.

The resourceVersions of an object grow, and can be compared with those of a list: Kubernetes
guarantees both since 1.35, and etcd has always behaved so.
"""

from __future__ import annotations

from opstrand.types import Body


def version_of(body: Body) -> int:
    """The resourceVersion as an integer."""
    return int(body["metadata"]["resourceVersion"])


def is_newer(body: Body, known: Body) -> bool:
    return version_of(body) > version_of(known)
