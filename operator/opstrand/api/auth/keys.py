"""The keys with which the cluster signs the tokens of its service accounts, and the check of a
signature.

Owns when the keys are read. Must not know what a token permits.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from opstrand.errors import PlatformError

#: Seconds between two reads for an unknown key: invented tokens arrive faster than keys change.
_INTERVAL = 10.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]

ReadKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class NotSigned(Exception):
    """The cluster's keys prove that the cluster did not sign the token."""


class UnknownKey(Exception):
    """The keys prove nothing: they cannot be read, or lack the one that the token names."""


class ClusterKeys:
    """`read_keys` returns the API server's JSON Web Key Set (`/openid/v1/jwks`)."""

    def __init__(self, read_keys: ReadKeys) -> None:
        self._read_keys = read_keys
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that the cluster signed, expired or not.

        Raises `NotSigned` and `UnknownKey`.
        """
        try:
            key = await self._find(str(jwt.get_unverified_header(token).get("kid")))
            options: Any = {
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            }
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=_ALGORITHMS, options=options)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise NotSigned(str(error)) from None
        return claims

    async def _find(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            await self._read_again(kid)
        if kid not in self._keys:
            raise UnknownKey(kid)
        return self._keys[kid]

    async def _read_again(self, kid: str) -> None:
        async with self._lock:
            if kid not in self._keys and time.monotonic() - self._read_at > _INTERVAL:
                self._read_at = time.monotonic()
                await self._read()

    async def _read(self) -> None:
        try:
            found = jwt.PyJWKSet.from_dict(dict(await self._read_keys()))
        except PlatformError as error:
            raise UnknownKey(error.message) from None
        except (jwt.PyJWTError, ValueError) as error:
            raise UnknownKey(f"the API server's keys cannot be read: {error}") from None
        self._keys = {str(key.key_id): key for key in found.keys}


def read_claims(token: str) -> dict[str, Any]:
    """The unverified claims of a token; empty if it is not a JSON Web Token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The audiences that a token claims."""
    audience = claims.get("aud")
    if isinstance(audience, str):
        return (audience,)
    return tuple(str(item) for item in audience) if isinstance(audience, list) else ()
