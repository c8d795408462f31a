"""Check whether an existing object with our name may be adopted, by comparing it with a dry run of
our manifest.

Owns the dry run and the fallback where it is refused. `core.pods.adoption` does the comparison.
Must not write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.controller.gather import World
from opstrand.core.pipelines import children
from opstrand.core.pods.adoption import find_contradiction, find_difference, find_other_program
from opstrand.kube.errors import AlreadyExists, Forbidden, Invalid
from opstrand.kube.resources import BY_KIND

#: Kinds that the API server stores as they are sent: no dry run says more than the manifest.
_STORED_AS_SENT = ("ConfigMap",)


async def check_own(
    found: Mapping[str, Any], manifest: Mapping[str, Any], *, world: World, exact: bool
) -> None:
    """Raise AlreadyExists if `found` is not exactly what the API server would make of `manifest`.

    Without `exact`, another version or configuration of the operator rendered the object, so only
    what the user wrote can be compared.
    """
    if manifest["kind"] == "Operation":
        check_same(children.find_difference(found, manifest), found)
        return
    if manifest["kind"] in _STORED_AS_SENT:
        check_same(find_difference(found, manifest, manifest), found)
        return
    if not exact:
        check_same(find_other_program(found, manifest), found)
        return
    metadata = manifest["metadata"]
    # A dry run under the same name would be refused, because the name is taken.
    renamed = {**manifest, "metadata": {**metadata, "name": f"{metadata['name']}-preview"}}
    try:
        expected = await world.kube.preview(
            BY_KIND[manifest["kind"]], metadata["namespace"], renamed
        )
    except (Forbidden, Invalid):
        # This very object uses up the quota, or a webhook does not support dry runs.
        check_same(find_contradiction(found, manifest), found)
        return
    check_same(find_difference(found, expected, manifest), found)


def check_same(difference: str | None, found: Mapping[str, Any]) -> None:
    """Raise AlreadyExists if there is a difference."""
    if difference is None:
        return
    kind, name = found.get("kind") or "object", found["metadata"]["name"]
    message = (
        f"the {kind} {name!r} was not made for this run: it differs at {difference}; delete it, "
        "and run again"
    )
    raise AlreadyExists(message, status=409, body={"message": message})
