"""Who created a run and who requested a change of it through the API: the API server sees one
account behind all users.

Owns the annotations and log lines that record the user, and the impersonation that makes the API
server's own audit log name the user. Must not decide what a user may do: that was decided before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from opstrand.core.names import ASKED_BY_USER, CREATED_BY_USER
from opstrand.kube.resources import SELF_ACCESS_REVIEWS, Resource
from opstrand.logs import about
from opstrand.runs.answers import Memory
from opstrand.runs.bodies import run_uuid
from opstrand.runs.protocols import Control, Identity
from opstrand.types import Body, JsonPatch

logger = logging.getLogger(__name__)

#: Seconds that an answer about impersonating a user is trusted.
_BELIEVED = 30.0
_ACCOUNT = "system:serviceaccount:"
#: Groups that the API server itself adds to an impersonated user.
_IMPLIED = ("system:authenticated", "system:serviceaccounts")
#: Extra fields that the API server adds to a token (Pod, node, credential id): they grant no
#: rights.
_FACTS = "authentication.kubernetes.io/"

Attributes = dict[str, str]


def sign(body: Body, by: Identity | None) -> Body:
    """The Operation to create, annotated with the name of its user."""
    if by is None:
        return body
    metadata = body["metadata"]
    return {
        **body,
        "metadata": {
            **metadata,
            "annotations": {**(metadata.get("annotations") or {}), CREATED_BY_USER: by.name},
        },
    }


def signature_ops(body: Body, control: Control, by: Identity | None) -> JsonPatch:
    """JSON Patch that records the user beside each change.

    Only a switch that changes is annotated: an earlier request keeps the name of its user.
    """
    names = (
        []
        if by is None
        else [ASKED_BY_USER[key] for key in _changes(body, control) if key in ASKED_BY_USER]
    )
    if by is None or not names:
        return []
    ops: JsonPatch = []
    if not isinstance(body["metadata"].get("annotations"), dict):
        ops += [
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": body["metadata"]["resourceVersion"],
            }
        ]
        ops += [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return ops + [
        {"op": "add", "path": f"/metadata/annotations/{name.replace('/', '~1')}", "value": by.name}
        for name in names
    ]


def _changes(body: Body, control: Control) -> Iterator[str]:
    spec = body.get("spec") or {}
    before = spec.get("control") or {}
    yield from (key for key, value in control.switches.items() if before.get(key) != value)
    if control.is_approved is not None and spec.get("isApproved") != control.is_approved:
        yield "approve"
    if control.resumes:
        yield "resume"


def record(action: str, body: Body, by: Identity | None) -> None:
    """Log one line: an annotation can be changed, and is deleted with its object."""
    if by is not None:
        metadata = body["metadata"]
        pod = getattr(by, "pod_name", "")
        facts = {
            **about(metadata["namespace"], metadata["name"]),
            "uuid": run_uuid(body),
            "by": by.name,
        }
        logger.info("run %s", action, extra={**facts, **({"by_pod": pod} if pod else {})})


class Reviews(Protocol):
    """The part of `kube.client.KubeApi` that is needed here."""

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> dict[str, Any]: ...


class Impersonation:
    """Knows whom the API's own account may impersonate: no one, unless a role grants it."""

    def __init__(self, reviews: Reviews) -> None:
        self._reviews = reviews
        self._answers: Memory[bool] = Memory(_BELIEVED)

    async def may(self, user: Identity) -> bool:
        """Whether requests can be sent as this user with all of its groups and extra fields.

        With fewer of them, its rights could be wider.
        """
        if any(not text.isprintable() for text in _texts(user)):
            return False
        for attributes in _attributes(user):
            if not await self._answers.get(
                tuple(attributes.items()),
                lambda asked=attributes: self._ask(asked),  # type: ignore[misc]
            ):
                return False
        return True

    async def _ask(self, attributes: Attributes) -> bool:
        spec = {"resourceAttributes": {"verb": "impersonate", **attributes}}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": spec,
        }
        answer = await self._reviews.create(SELF_ACCESS_REVIEWS, None, body)
        return bool((answer.get("status") or {}).get("allowed"))


def _attributes(user: Identity) -> Iterator[Attributes]:
    """What the API server checks before it lets one user act as another."""
    namespace, _, name = user.name.removeprefix(_ACCOUNT).partition(":")
    if user.name.startswith(_ACCOUNT):
        yield {"group": "", "resource": "serviceaccounts", "namespace": namespace, "name": name}
    else:
        yield {"group": "", "resource": "users", "name": user.name}
    for group in groups_of(user):
        yield {"group": "", "resource": "groups", "name": group}
    for key, values in extra_of(user).items():
        for value in values:
            yield {
                "group": "authentication.k8s.io",
                "resource": "userextras",
                "subresource": key,
                "name": value,
            }


def groups_of(user: Identity) -> Sequence[str]:
    """The groups to name in an impersonation.

    Omits those that the API server adds itself. It adds `system:serviceaccounts` groups only if no
    others are named, so a service account with other groups names them all.
    """
    implied = {
        *_IMPLIED,
        f"system:serviceaccounts:{user.name.removeprefix(_ACCOUNT).partition(':')[0]}",
    }
    others = [group for group in user.groups if group not in implied]
    is_account = user.name.startswith(_ACCOUNT)
    return (
        [group for group in user.groups if group != "system:authenticated"]
        if is_account and others
        else others
    )


def extra_of(user: Identity) -> Mapping[str, Sequence[str]]:
    return {key: values for key, values in (user.extra or {}).items() if not key.startswith(_FACTS)}


def _texts(user: Identity) -> Iterator[str]:
    yield from (user.name, *user.groups)
    for key, values in (user.extra or {}).items():
        yield from (key, *values)
