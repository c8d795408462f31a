"""The API's own certificate authority: created if there is none, kept in a Secret, its certificate
renewed in good time.

Owns the keys of that Secret and when they are replaced. Must not know the port that they serve. The
Secret must already exist, so that the API needs no right to create Secrets: with that right it
could obtain the token of any service account of the namespace.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opstrand.api.certificates import (
    Authority,
    Issued,
    is_authority,
    is_good,
    issue_by,
    make_authority,
)
from opstrand.errors import SpecError
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import Conflict, NotFound
from opstrand.kube.resources import SECRETS
from opstrand.types import Manifest

logger = logging.getLogger(__name__)

#: How often a write is tried: another replica of the API may write first.
_TRIES = 5
_AUTHORITY, _AUTHORITY_KEY, _CERTIFICATE, _KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class OwnCertificate:
    """The Secret, and the names that its certificate needs."""

    kube: KubeApi
    namespace: str
    secret: str
    hosts: Sequence[str]
    clock: Callable[[], datetime] = utc_now

    async def read(self) -> Issued:
        """The content of the Secret; what is missing there or due for renewal is created first.

        Raises ApiError, and SpecError if there is no Secret.
        """
        for attempt in range(1, _TRIES + 1):
            body = await self._get()
            data = _decode(body.get("data") or {})
            wanted = complete(data, self.hosts, self.clock())
            if wanted == data:
                break
            try:
                await self._store(body, wanted)
                break
            except Conflict:
                if attempt == _TRIES:
                    raise
        return Issued(wanted[_AUTHORITY], wanted[_CERTIFICATE], wanted[_KEY])

    async def _get(self) -> Manifest:
        try:
            return await self.kube.get(SECRETS, self.namespace, self.secret)
        except NotFound:
            message = (
                f"there is no Secret {self.secret} in {self.namespace} to keep the API's "
                "certificate in: apply the manifests again"
            )
            raise SpecError("InvalidSpec", message, "OPSTRAND_API_TLS_SECRET") from None

    async def _store(self, body: Manifest, wanted: Mapping[str, str]) -> None:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in wanted.items()}
        version = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": body["metadata"]["resourceVersion"],
        }
        ops: list[dict[str, Any]] = [version, {"op": "add", "path": "/data", "value": data}]
        await self.kube.json_patch(SECRETS, self.namespace, self.secret, ops)
        logger.info("a certificate was made", extra={"secret": self.secret})


def _decode(data: Mapping[str, str]) -> dict[str, str]:
    """The texts of the four keys; what cannot be decoded counts as missing."""
    found = {}
    for key in (_AUTHORITY, _AUTHORITY_KEY, _CERTIFICATE, _KEY):
        try:
            found[key] = base64.b64decode(data.get(key, "")).decode("ascii")
        except (binascii.Error, ValueError):
            found[key] = ""
    return found


def complete(data: Mapping[str, str], hosts: Sequence[str], now: datetime) -> dict[str, str]:
    """The four texts, keeping what is still good.

    The authority stays as long as it can issue certificates, since runs in progress trust it.
    """
    authority = Authority(data[_AUTHORITY], data[_AUTHORITY_KEY])
    if not is_authority(authority, now):
        authority = make_authority()
    issued = Issued(authority.certificate, data[_CERTIFICATE], data[_KEY])
    if not is_good(issued, hosts, now):
        issued = issue_by(authority, hosts)
    return {
        _AUTHORITY: authority.certificate,
        _AUTHORITY_KEY: authority.key,
        _CERTIFICATE: issued.certificate,
        _KEY: issued.key,
    }
