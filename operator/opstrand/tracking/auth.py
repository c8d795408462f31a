"""Who asks, and what they may do.

Owns the callers, the verbs, and the rule of a run's token: it writes its own run and reads its project. Whom a token belongs to is
the `Auth` behind it. Must not decide by anything that who makes a Pod can write (labels, owner references).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from opstrand.tracking.runs import Body, RunNotFound


class Unauthenticated(Exception):
    """No token, or one that proves nothing. The text may be shown."""


class Forbidden(Exception):
    """The caller may know of the thing, but not do this to it."""


class Verb(StrEnum):
    """What may be done; never rename: they stand for the verbs of RBAC on `operations`, and `get` on `pods/log`."""

    READ = "get"
    LIST = "list"
    CREATE = "create"
    CONTROL = "patch"
    DELETE = "delete"
    LOGS = "logs"


@dataclass(frozen=True)
class Caller:
    """Whom a token belongs to. `pod` is set for a run's token only, and then `namespace` is the Pod's."""

    name: str
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] | None = None
    namespace: str = ""
    pod_name: str = ""
    pod_uid: str = ""

    @property
    def is_run(self) -> bool:
        return bool(self.pod_name)

    def is_pod_of(self, body: Body) -> bool:
        """Whether the caller's Pod is the one that this run was frozen to: by name, and by uid once the operator wrote it.

        Kubernetes names a service's Pods, so those count that the operator recorded with name and uid. It records whatever the
        ReplicaSet's selector matches: only here is anyone trusted who may create Pods in the namespace.
        """
        if body["metadata"]["namespace"] != self.namespace:
            return False
        status = body.get("status") or {}
        pod: Mapping[str, Any] = status.get("pod") or {}
        if pod.get("name") == self.pod_name and pod.get("uid") in (None, "", self.pod_uid):
            return True
        replicas = (status.get("service") or {}).get("pods") or ()
        return any((one.get("name"), one.get("uid")) == (self.pod_name, self.pod_uid) for one in replicas)


class Auth(Protocol):
    """Knows tokens. Both raise `PlatformError` where the one who knows is out of reach."""

    async def identify(self, token: str) -> Caller:
        """Raises `Unauthenticated`."""

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        """Whether a person may do this in a project. Never asked for a run's token."""


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


def parse_token(header: str | None) -> str:
    """The token of an Authorization header: `Token x` (the published client) or `Bearer x`. Raises `Unauthenticated`."""
    scheme, _, rest = (header or "").partition(" ")
    token = rest.strip()
    if scheme.lower() not in ("token", "bearer") or not token:
        raise Unauthenticated("A token is needed: `Authorization: Bearer TOKEN`.")
    if not token.isascii():
        raise Unauthenticated("The token has characters that no token has.")
    return token


async def authorize(auth: Auth, caller: Caller, verb: Verb, project: str) -> None:
    """Raise unless the caller may do this in the project: `Forbidden` for what it may see, `RunNotFound` for what it may not know of."""
    if caller.is_run:
        if project != caller.namespace:
            raise RunNotFound(project)
        if verb not in (Verb.READ, Verb.LIST, Verb.LOGS):
            raise Forbidden("A run's token reads its project and writes its own run, and no more.")
        return
    if await auth.may(caller, verb, project):
        return
    if verb is not Verb.READ and await auth.may(caller, Verb.READ, project):
        what = "read the logs of Pods" if verb is Verb.LOGS else f"{verb.value} operations"
        raise Forbidden(f"{caller.name} may not {what} in {project}.")
    raise RunNotFound(project)


async def authorize_report(auth: Auth, caller: Caller, body: Body) -> None:
    """Raise unless the caller may write what this run reports. Another run must not even learn that this one exists: `RunNotFound`."""
    if not caller.is_run:
        await authorize(auth, caller, Verb.CONTROL, body["metadata"]["namespace"])
    elif not caller.is_pod_of(body):
        raise RunNotFound(body["metadata"]["name"])
