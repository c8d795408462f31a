"""Import kopf without the Kubernetes package, which kopf would load whole, only to recognise its
classes in case it is given one.

That package is half of what the operator would import, and a third of its memory. The other modules
here import `kopf` from this one.
"""

from __future__ import annotations

import sys

#: Packages that seem uninstalled while kopf is imported; afterwards they can be imported.
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
