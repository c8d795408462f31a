"""Tokens that expired while their Pod still runs.

A cloud may cap the life of a projected token at hours, the kubelet exchanges it, and the published client has read it once and for all.
So an expired token is accepted while its Pod lives, if its signature is the cluster's. Owns that check and the keys for it. Must not be
asked about a token that is not expired: the API server knows better.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import jwt

from opstrand.kube.api import PODS, NotFound, Resource
from opstrand.tracking.auth import Caller, Unauthenticated

#: Seconds between two readings of the cluster's keys.
_KEYS_INTERVAL = 300.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
_ENDED = frozenset({"Succeeded", "Failed"})
_REFUSAL = "The token has expired."

ReadKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class Pods(Protocol):
    """The part of `kube.api.KubeApi` that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]: ...


class ExpiredTokens:
    """Knows a Pod by its expired token. `read_keys` gives the API server's JSON Web Key Set (`/openid/v1/jwks`)."""

    def __init__(self, pods: Pods, read_keys: ReadKeys, *, audience: str) -> None:
        self._pods, self._read_keys, self._audience = pods, read_keys, audience
        self._keys: jwt.PyJWKSet | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def identify(self, token: str) -> Caller:
        """The run's Pod that the token was made for. Raises Unauthenticated."""
        claims = await self._verify(token)
        bound = claims.get("kubernetes.io") or {}
        pod, namespace = bound.get("pod") or {}, str(bound.get("namespace") or "")
        if not (namespace and pod.get("name") and pod.get("uid")) or not await self._is_alive(namespace, pod):
            raise Unauthenticated(_REFUSAL)
        return Caller(name=str(claims.get("sub")), namespace=namespace, pod_name=pod["name"], pod_uid=pod["uid"])

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

    async def _is_alive(self, namespace: str, pod: Mapping[str, Any]) -> bool:
        try:
            found = await self._pods.get(PODS, namespace, pod["name"])
        except NotFound:
            return False
        phase = (found.get("status") or {}).get("phase")
        return bool(found["metadata"]["uid"] == pod["uid"]) and phase not in _ENDED


def read_claims(token: str) -> dict[str, Any]:
    """What a token says of itself, unproven; empty for one that is no JSON Web Token."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError, json.JSONDecodeError):
        return {}
    return claims
