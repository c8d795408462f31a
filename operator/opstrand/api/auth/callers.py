"""Callers, the verbs, and the interface to token and permission checks.

Owns which Pod belongs to a run. `access` decides what a caller may do. Must not decide by anything
that the creator of a Pod can write (labels, owner references of the Pod).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from opstrand.runs.protocols import Identity
from opstrand.types import Body


class Unauthenticated(Exception):
    """There is no token, or it proves no identity. The text may be shown."""


class Forbidden(Exception):
    """The caller may know of the object, but not do this to it."""


class Verb(StrEnum):
    """What a caller may do.

    Never rename a value: they are the RBAC verbs on `operations`, and LOGS is `get` on `pods/log`.
    Those with a slash are verbs on a resource of our own group (`api.v1`).
    """

    READ = "get"
    LIST = "list"
    CREATE = "create"
    CONTROL = "patch"
    DELETE = "delete"
    LOGS = "logs"
    LIST_RUNS = "runs/list"
    GET_RUN = "runs/get"
    DELETE_RUN = "runs/delete"
    READ_LOG = "runs/log/get"
    READ_ARTIFACTS = "runs/artifacts/get"
    WRITE_ARTIFACTS = "runs/artifacts/update"
    DELETE_ARTIFACTS = "runs/artifacts/delete"


@dataclass(frozen=True)
class Caller(Identity):
    """The owner of a token.

    `pod_name` is set for a run's token only, and then `namespace` is the Pod's.
    """

    namespace: str = ""
    pod_name: str = ""
    pod_uid: str = ""

    @property
    def is_run(self) -> bool:
        return bool(self.pod_name)

    def is_run_of(self, project: str) -> bool:
        return self.is_run and self.namespace == project

    def is_pod_of(self, body: Body) -> bool:
        """Whether the caller's Pod is the one to which this run was frozen: by name, and by uid
        once the operator recorded it.

        Kubernetes names a service's Pods, so those count that the operator recorded with name and
        uid. The operator records every Pod that the ReplicaSet's selector matches: this is the only
        place that trusts everyone who may create Pods in the namespace.
        """
        if body["metadata"]["namespace"] != self.namespace:
            return False
        status = body.get("status") or {}
        pod: Mapping[str, Any] = status.get("pod") or {}
        if pod.get("name") == self.pod_name and pod.get("uid") in (None, "", self.pod_uid):
            return True
        replicas = (status.get("service") or {}).get("pods") or ()
        return any(
            (one.get("name"), one.get("uid")) == (self.pod_name, self.pod_uid) for one in replicas
        )


class Auth(Protocol):
    """Checks tokens and rights. Both methods raise `PlatformError` if the check cannot be made."""

    async def identify(self, token: str) -> Caller:
        """Raises `Unauthenticated`."""

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        """Whether the cluster's own RBAC lets the caller do this in a project."""


class StaticToken:
    """One secret for everything: the loopback API of `opstrand run --local`."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def identify(self, token: str) -> Caller:
        if not hmac.compare_digest(token.encode(), self._token):
            raise Unauthenticated("The token is not the one that this API was started with.")
        return Caller(name="local")

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        return True


def parse_token(headers: Sequence[str]) -> str:
    """The token of the one Authorization header: `Token x` (the published client) or `Bearer x`.

    Raises `Unauthenticated`, also for two headers: a proxy and this API might each use another one.
    """
    if len(headers) > 1:
        raise Unauthenticated(
            f"The header Authorization was sent {len(headers)} times; send it once."
        )
    scheme, _, rest = (headers[0] if headers else "").partition(" ")
    token = rest.strip()
    if scheme.lower() not in ("token", "bearer") or not token:
        raise Unauthenticated("A token is needed: `Authorization: Bearer TOKEN`.")
    if not token.isascii():
        raise Unauthenticated("The token has characters that no token has.")
    return token
