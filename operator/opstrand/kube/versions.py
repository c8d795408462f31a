"""Which of two bodies of one object is the newer.

Versions of one object grow, and those of a list can be compared with them: Kubernetes promises it
since 1.35, and etcd kept it always.
"""

from __future__ import annotations

from opstrand.types import Body


def version_of(body: Body) -> int:
    """The resourceVersion as a number that can be compared."""
    return int(body["metadata"]["resourceVersion"])


def is_newer(body: Body, known: Body) -> bool:
    return version_of(body) > version_of(known)
