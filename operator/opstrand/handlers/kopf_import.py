"""kopf without the Kubernetes package, which it would import whole, only to recognise its classes
if it were given any.

Half of what the operator would import otherwise, and a third of its memory. The other modules here
take `kopf` from this one.
"""

from __future__ import annotations

import sys

#: Packages that look uninstalled while kopf is imported, and are importable afterwards.
_HIDDEN = ("kubernetes", "pykube", "kubernetes_asyncio")
_absent = [name for name in _HIDDEN if name not in sys.modules]
for _name in _absent:
    sys.modules[_name] = None  # type: ignore[assignment]
try:
    import kopf
finally:
    for _name in _absent:
        del sys.modules[_name]

__all__ = ["kopf"]
