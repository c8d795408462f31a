"""Tokens as the cluster knows them: whom they belong to (TokenReview) and what a person may do (SubjectAccessReview).

Owns the asking and the remembering of answers, for a minute and in bounded number, by the token's hash and never by the token. Must not
decide which run a Pod may write: that is `auth`'s rule.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from opstrand.kube.api import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource
from opstrand.tracking.auth import Caller, Unauthenticated, Verb
from opstrand.tracking.expired import ExpiredTokens, read_claims

#: Seconds that an answer is believed, and that a refusal is.
_BELIEVED = 60.0
_REFUSED = 10.0
_MOST = 10_000
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"

Answer = TypeVar("Answer")


class Reviews(Protocol):
    """The part of `kube.api.KubeApi` that is needed here."""

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]: ...


class Memory(Generic[Answer]):
    """Answers by key, each asked for once at a time and believed for `seconds`."""

    def __init__(self, seconds: float, most: int = _MOST) -> None:
        self._seconds, self._most = seconds, most
        self._known: OrderedDict[Any, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def get(self, key: Any, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        now = time.monotonic()
        until, task = self._known.get(key, (0.0, None))
        if task is None or until < now:
            until = now + self._seconds
            task = asyncio.ensure_future(_as_coroutine(ask))
            self._known[key] = until, task
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        try:
            # Shielded: who asked first may hang up, and the others still want to know.
            return await asyncio.shield(task)
        except Unauthenticated:
            self._known[key] = min(until, now + _REFUSED), task
            raise
        except BaseException:
            if task.done():  # trouble is not an answer
                self._known.pop(key, None)
            raise


async def _as_coroutine(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    return await ask()


class ClusterAuth:
    """`Auth` over a cluster. `audience` is that of a run's token; people may use it or the API server's own."""

    def __init__(self, reviews: Reviews, *, audience: str, expired: ExpiredTokens | None = None) -> None:
        self._reviews = reviews
        self._audience = audience
        self._expired = expired
        self._callers: Memory[Caller] = Memory(_BELIEVED)
        self._permissions: Memory[bool] = Memory(_BELIEVED / 2)

    async def identify(self, token: str) -> Caller:
        return await self._callers.get(hashlib.sha256(token.encode()).digest(), lambda: self._review(token))

    async def _review(self, token: str) -> Caller:
        claims = read_claims(token)
        is_ours = self._audience in _audiences(claims)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        answer = await self._reviews.create(
            TOKEN_REVIEWS, None, {**body, "spec": {"token": token, **({"audiences": [self._audience]} if is_ours else {})}}
        )
        status = answer.get("status") or {}
        if status.get("authenticated") and (not is_ours or self._audience in (status.get("audiences") or ())):
            return _caller(status["user"], with_pod=is_ours)
        if is_ours and self._expired is not None and _is_expired(claims):
            return await self._expired.identify(token)
        raise Unauthenticated(f"The token was not accepted: {status.get('error') or 'it proves nobody'}.")

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        # Everything that the review is asked about: a token of narrower scopes must not get what a wider one was granted.
        key = (caller.name, caller.uid, caller.groups, _freeze(caller.extra), verb, project)
        return await self._permissions.get(key, lambda: self._ask(caller, verb, project))

    async def _ask(self, caller: Caller, verb: Verb, project: str) -> bool:
        spec = {
            "user": caller.name,
            "groups": list(caller.groups),
            "uid": caller.uid,
            "extra": {key: list(values) for key, values in (caller.extra or {}).items()},
            "resourceAttributes": {"namespace": project, **_attributes(verb)},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self._reviews.create(SUBJECT_ACCESS_REVIEWS, None, body)
        return bool((answer.get("status") or {}).get("allowed"))


def _attributes(verb: Verb) -> dict[str, str]:
    if verb is Verb.LOGS:  # a Pod's log is nobody's who could not read it with kubectl
        return {"group": "", "resource": "pods", "subresource": "log", "verb": "get"}
    return {"group": "opstrand.dev", "resource": "operations", "verb": verb.value}


def _caller(user: Mapping[str, Any], *, with_pod: bool) -> Caller:
    """A Pod's token is a run's only where it was made for us: one for the API server is a person's, and its account's rights count."""
    name = str(user.get("username") or "")
    extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
    pod = (extra.get(_POD_NAME) or ("",))[0] if with_pod else ""
    namespace = name.removeprefix(_ACCOUNT).partition(":")[0] if pod else ""
    uid = (extra.get(_POD_UID) or ("",))[0]
    return Caller(
        name=name,
        uid=str(user.get("uid") or ""),
        groups=tuple(user.get("groups") or ()),
        extra=extra,
        namespace=namespace,
        pod_name=pod,
        pod_uid=uid,
    )


def _freeze(extra: Mapping[str, tuple[str, ...]] | None) -> frozenset[tuple[str, tuple[str, ...]]]:
    return frozenset((extra or {}).items())


def _is_expired(claims: Mapping[str, Any]) -> bool:
    expiry = claims.get("exp")
    return isinstance(expiry, int | float) and expiry < time.time()


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """What the token says of itself: only a hint which question to ask."""
    audience = claims.get("aud") or ()
    return (audience,) if isinstance(audience, str) else tuple(str(item) for item in audience)
