"""Tokens that expired while their Pod still runs.

A cloud provider may limit a projected token to hours. The kubelet then replaces the token, but the
published client reads it only once. So an expired token is accepted for a bounded time while its
Pod and its service account exist, if the cluster signed it. Owns that check. Must not be called for
a token that is not expired: the API server decides about those.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from opstrand.api.auth.callers import Caller, Unauthenticated
from opstrand.api.auth.keys import ClusterKeys, NotSigned, UnknownKey, audiences
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import PODS, SERVICE_ACCOUNTS, Resource

_ENDED = frozenset({"Succeeded", "Failed"})
_REFUSAL = "The token has expired."
#: Seconds after an object's deletion time in which tokens bound to it still count, as in the API
#: server.
_DELETION_LEEWAY = 60.0
#: Seconds past `exp` unless a setting says otherwise: the lifetime that a run requests for its
#: token.
_LONGEST_PAST = 30 * 24 * 3600.0


class Objects(Protocol):
    """The part of `kube.client.KubeApi` that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]: ...


class ExpiredTokens:
    """Identifies a Pod by its expired token.

    A token that expired more than `longest_past` seconds ago is refused.
    """

    def __init__(
        self,
        objects: Objects,
        keys: ClusterKeys,
        *,
        audience: str,
        longest_past: float = _LONGEST_PAST,
    ) -> None:
        self._objects, self._keys, self._audience = objects, keys, audience
        self._longest_past = longest_past

    async def identify(self, token: str) -> Caller:
        """The run's Pod for which the token was issued. Raises Unauthenticated."""
        try:
            claims = await self._keys.verify(token)
        except (NotSigned, UnknownKey):
            raise Unauthenticated(_REFUSAL) from None
        if self._audience not in audiences(claims):
            raise Unauthenticated(_REFUSAL)
        bound = claims.get("kubernetes.io") or {}
        pod, account, namespace = (
            bound.get("pod") or {},
            bound.get("serviceaccount") or {},
            str(bound.get("namespace") or ""),
        )
        name = f"system:serviceaccount:{namespace}:{account.get('name')}"
        if (
            not namespace
            or claims.get("sub") != name
            or time.time() - _expiry(claims) > self._longest_past
        ):
            raise Unauthenticated(_REFUSAL)
        if not (
            await self._is_alive(SERVICE_ACCOUNTS, namespace, account)
            and await self._is_alive(PODS, namespace, pod)
        ):
            raise Unauthenticated(_REFUSAL)
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        )
        return Caller(
            name=name,
            uid=account["uid"],
            groups=groups,
            namespace=namespace,
            pod_name=pod["name"],
            pod_uid=pod["uid"],
        )

    async def _is_alive(self, resource: Resource, namespace: str, bound: Mapping[str, Any]) -> bool:
        """Whether the object to which the token is bound still exists, is the same one, and has not
        ended.
        """
        if not (bound.get("name") and bound.get("uid")):
            return False
        try:
            found = await self._objects.get(resource, namespace, bound["name"])
        except NotFound:
            return False
        is_same = found["metadata"]["uid"] == bound["uid"]
        return (
            is_same
            and not _is_deleted(found)
            and (found.get("status") or {}).get("phase") not in _ENDED
        )


def _is_deleted(found: Mapping[str, Any]) -> bool:
    """Whether the deletion time is past.

    A Pod's deletion time is the end of its grace period, so a Pod that is being stopped still
    reports.
    """
    stamp = found["metadata"].get("deletionTimestamp")
    return (
        bool(stamp)
        and (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds() > _DELETION_LEEWAY
    )


def _expiry(claims: Mapping[str, Any]) -> float:
    expiry = claims.get("exp")
    return float(expiry) if isinstance(expiry, int | float) else float("-inf")
