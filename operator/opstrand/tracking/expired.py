"""Tokens that expired while their Pod still runs.

A cloud may cap the life of a projected token at hours, the kubelet exchanges it, and the published client has read it once and for all.
So an expired token is accepted for a bounded time while its Pod and its service account live, if its signature is the cluster's. Owns
that check and the keys for it. Must not be asked about a token that is not expired: the API server knows better.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import jwt

from opstrand.kube.api import PODS, SERVICE_ACCOUNTS, NotFound, Resource
from opstrand.tracking.auth import Caller, Unauthenticated

#: Seconds between two readings of the cluster's keys.
_KEYS_INTERVAL = 300.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
_ENDED = frozenset({"Succeeded", "Failed"})
_REFUSAL = "The token has expired."
#: Seconds after the deletion time of an object in which tokens bound to it still count, as for the API server.
_DELETION_LEEWAY = 60.0
#: Seconds past `exp` where no setting says otherwise: as long as the token that a run asks for lives.
_LONGEST_PAST = 30 * 24 * 3600.0

ReadKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class Objects(Protocol):
    """The part of `kube.api.KubeApi` that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]: ...


class ExpiredTokens:
    """Knows a Pod by its expired token. `read_keys` gives the API server's JSON Web Key Set (`/openid/v1/jwks`); a token that expired more
    than `longest_past` seconds ago is refused."""

    def __init__(self, objects: Objects, read_keys: ReadKeys, *, audience: str, longest_past: float = _LONGEST_PAST) -> None:
        self._objects, self._read_keys, self._audience = objects, read_keys, audience
        self._longest_past = longest_past
        self._keys: jwt.PyJWKSet | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def identify(self, token: str) -> Caller:
        """The run's Pod that the token was made for. Raises Unauthenticated."""
        claims = await self._verify(token)
        bound = claims.get("kubernetes.io") or {}
        pod, account, namespace = bound.get("pod") or {}, bound.get("serviceaccount") or {}, str(bound.get("namespace") or "")
        name = f"system:serviceaccount:{namespace}:{account.get('name')}"
        if not namespace or claims.get("sub") != name or time.time() - claims["exp"] > self._longest_past:
            raise Unauthenticated(_REFUSAL)
        if not (await self._is_alive(SERVICE_ACCOUNTS, namespace, account) and await self._is_alive(PODS, namespace, pod)):
            raise Unauthenticated(_REFUSAL)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return Caller(name=name, uid=account["uid"], groups=groups, namespace=namespace, pod_name=pod["name"], pod_uid=pod["uid"])

    async def _verify(self, token: str) -> dict[str, Any]:
        try:
            key = await self._find_key(str(jwt.get_unverified_header(token).get("kid")))
            options: Any = {"verify_exp": False, "require": ["exp", "aud", "sub"]}
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=_ALGORITHMS, audience=self._audience, options=options)
        except jwt.PyJWTError:
            raise Unauthenticated(_REFUSAL) from None
        return claims

    async def _find_key(self, kid: str) -> jwt.PyJWK:
        """The key of this id; unknown, the keys are read again, but not for every token that somebody makes up."""
        async with self._lock:
            known = self._lookup(kid)
            if known is None and time.monotonic() - self._read_at > _KEYS_INTERVAL:
                self._keys = jwt.PyJWKSet.from_dict(dict(await self._read_keys()))
                self._read_at = time.monotonic()
                known = self._lookup(kid)
        if known is None:
            raise jwt.InvalidKeyError(kid)
        return known

    def _lookup(self, kid: str) -> jwt.PyJWK | None:
        return next((key for key in (self._keys.keys if self._keys else ()) if key.key_id == kid), None)

    async def _is_alive(self, resource: Resource, namespace: str, bound: Mapping[str, Any]) -> bool:
        """Whether the object that the token is bound to exists, is the same one, and is at work."""
        if not (bound.get("name") and bound.get("uid")):
            return False
        try:
            found = await self._objects.get(resource, namespace, bound["name"])
        except NotFound:
            return False
        is_same = found["metadata"]["uid"] == bound["uid"]
        return is_same and not _is_deleted(found) and (found.get("status") or {}).get("phase") not in _ENDED


def _is_deleted(found: Mapping[str, Any]) -> bool:
    """A Pod's deletion time is the end of its grace, so that a Pod that is being stopped still reports."""
    stamp = found["metadata"].get("deletionTimestamp")
    return bool(stamp) and (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds() > _DELETION_LEEWAY


def read_claims(token: str) -> dict[str, Any]:
    """What a token says of itself, unproven; empty for one that is no JSON Web Token."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError, json.JSONDecodeError):
        return {}
    return claims
