"""Type names for data that every package uses: Kubernetes objects as plain data.

Owns no behaviour. Must import nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: A Kubernetes object that is created or changed, as in its JSON.
Manifest = dict[str, Any]
#: A Kubernetes object that is only read.
Body = Mapping[str, Any]
#: Namespace and name.
Key = tuple[str, str]
#: The operations of a JSON patch (RFC 6902).
JsonPatch = list[dict[str, Any]]
