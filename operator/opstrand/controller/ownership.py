"""Whether an object that has the name of ours may be adopted: the API server is asked what it would
make of our manifest.

Owns the dry run and what follows where it is refused. What is compared is `core.pods.adoption`'s
business. Must not write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.controller.gather import World
from opstrand.core.pods.adoption import find_contradiction, find_difference, find_other_program
from opstrand.kube.errors import AlreadyExists, Forbidden, Invalid
from opstrand.kube.resources import DEPLOYMENTS, PODS, SERVICES

_RESOURCES = {"Pod": PODS, "Service": SERVICES, "Deployment": DEPLOYMENTS}


async def check_own(
    found: Mapping[str, Any], manifest: Mapping[str, Any], *, world: World, exact: bool
) -> None:
    """Raise AlreadyExists for an object that is not exactly what would be made of `manifest`.

    Without `exact` another version or configuration of the operator rendered it: only what the user
    wrote can be compared.
    """
    if not exact:
        check_same(find_other_program(found, manifest), found)
        return
    metadata = manifest["metadata"]
    # A dry run under the same name is refused: the name is taken.
    renamed = {**manifest, "metadata": {**metadata, "name": f"{metadata['name']}-preview"}}
    try:
        expected = await world.kube.preview(
            _RESOURCES[manifest["kind"]], metadata["namespace"], renamed
        )
    except (Forbidden, Invalid):
        # The quota is used up by this very object, or a webhook does not support dry runs.
        check_same(find_contradiction(found, manifest), found)
        return
    check_same(find_difference(found, expected, manifest), found)


def check_same(difference: str | None, found: Mapping[str, Any]) -> None:
    """Raise AlreadyExists where there is a difference."""
    if difference is None:
        return
    kind, name = found.get("kind") or "object", found["metadata"]["name"]
    words = (
        f"the {kind} {name!r} was not made for this run: it differs at {difference}; delete it, "
        "and run again"
    )
    raise AlreadyExists(words, status=409, body={"message": words})
