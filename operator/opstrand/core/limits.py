"""How large things may be, and the one way to refuse what is larger.

Owns every size that a person can hit, in bytes of UTF-8 JSON unless its name says otherwise, and
the message that names both sizes. Must not decide what happens to a run that hits one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from opstrand.errors import SpecError

KIB = 1024

INPUTS = 256 * KIB
OUTPUTS = 256 * KIB
#: The contents of all init files of one run together.
INIT_FILES = 512 * KIB
#: A hub's component as it is frozen into the status.
COMPONENT = 256 * KIB
#: Variables of one container: how many, all of them together, and one (the kernel's own limit for
#: one text).
ENV_ENTRIES = 2000
ENV = 512 * KIB
ENV_VALUE = 128 * KIB - 1
#: Runs that one run takes values from: a join's whole page.
EDGES = 5000
HISTORY = 16
ATTEMPTS = 10
#: Characters of a message in a status or an event; head and tail are kept.
MESSAGE = 1024
#: Values of all operations of one pipeline together; a shared component counts in each operation.
#: Enough for 2,000 operations of a component of 75 values; compiling them takes half a second.
PIPELINE_VALUES = 150_000
#: Groups of one role in a distributed run: a patch is merged into each.
GROUPS = 100
#: Searches of one operation, the conditions of a search, the choices of a condition, the keys of
#: its order, and its length.
JOINS = 50
CONDITIONS = 50
CHOICES = 1000
SORT_KEYS = 20
QUERY = 64 * KIB
#: Sidecars and init containers of one Pod: each of them gets the run's own mounts and variables.
CONTAINERS = 100
#: Hooks of one run, the connections that it notifies among them.
HOOKS = 20
#: A Pod as it is sent: etcd stores no larger object.
POD = 1_500_000
#: Ports of one service.
PORTS = 1000
#: What the templates and refs of one run may give together: no object of the cluster could hold
#: more.
RENDERED = 1_500_000
#: What the templates of one run that are more than look-ups may read together; a value counts each
#: time that a template reads it.
TEMPLATES_READ = 32 * KIB * KIB
#: spec + status + room for outputs: above it a final status might not be writable.
TOTAL = 1_400_000
#: The largest integer that survives a status: the API server stores signed 64-bit integers.
MAX_INTEGER = 2**63 - 1


def to_json(value: Any) -> str:
    """Return compact JSON as it is stored: the text whose bytes count."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def measure(value: Any) -> int:
    """Return the bytes that a value takes in a status.

    A lone surrogate, which UTF-8 cannot encode, counts as its escape.
    """
    return len(to_json(value).encode("utf-8", "backslashreplace"))


def count_values(value: Any) -> int:
    """Return how many values there are in a value, its keys and itself counted."""
    if isinstance(value, Mapping):
        return 1 + len(value) + sum(map(count_values, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(count_values, value))
    return 1


def check_size(value: Any, limit: int, what: str, path: str = "") -> int:
    """Return the size of `value` in bytes.

    Raises SpecError TooLarge with both sizes if it is more than `limit`.
    """
    size = len(value) if isinstance(value, bytes) else measure(value)
    if size > limit:
        raise SpecError(
            "TooLarge",
            f"{what} {_verb(what)} {describe_size(size)}; at most {describe_size(limit)} fit",
            path,
        )
    return size


def _verb(what: str) -> str:
    return "take" if what.endswith("s") else "takes"


def describe_size(size: int) -> str:
    """Describe a number of bytes for a person, and exactly."""
    return f"{size} bytes" if size < KIB else f"{size / KIB:.1f} KiB ({size} bytes)"
