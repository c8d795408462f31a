"""Tokens as the cluster knows them: their owner (TokenReview) and what that user may do
(SubjectAccessReview).

Owns the reviews and the cache of their answers: for a minute, in bounded number, and keyed by the
token's hash, never by the token. Must not decide which run a Pod may write: `auth.access` does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from opstrand.api.auth.callers import Caller, Unauthenticated, Verb
from opstrand.api.auth.expired_tokens import ExpiredTokens
from opstrand.api.auth.keys import ClusterKeys, NotSigned, UnknownKey, audiences, read_claims
from opstrand.kube.resources import OPERATIONS, RUNS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from opstrand.runs.answers import Memory
from opstrand.runs.authorship import Reviews

#: Seconds that an accepted token is trusted; an answer about rights is trusted for half of that.
_BELIEVED = 60.0
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class ClusterAuth:
    """`Auth` over a cluster.

    `audience` is that of a run's token; people may use it or, with `any_audience`, the API server's
    own. With `keys`, a token that claims to be a service account's is refused without a review
    unless the cluster signed it.
    """

    def __init__(
        self,
        reviews: Reviews,
        *,
        audience: str,
        keys: ClusterKeys | None = None,
        expired: ExpiredTokens | None = None,
        any_audience: bool = True,
    ) -> None:
        self._reviews = reviews
        self._audience, self._any_audience = audience, any_audience
        self._keys = keys
        self._expired = expired
        self._callers: Memory[Caller] = Memory(_BELIEVED, refusal=Unauthenticated)
        self._permissions: Memory[bool] = Memory(_BELIEVED / 2)

    async def identify(self, token: str) -> Caller:
        return await self._callers.get(
            hashlib.sha256(token.encode()).digest(), lambda: self._review(token)
        )

    async def is_proven(self, token: str) -> bool:
        """Whether the cluster signed the token: its account may be gone, but it is genuine."""
        if self._keys is None:
            return False
        try:
            await self._keys.verify(token)
        except (NotSigned, UnknownKey):
            return False
        return True

    async def _review(self, token: str) -> Caller:
        claims = read_claims(token)
        is_ours = self._audience in audiences(claims)
        if str(claims.get("sub")).startswith(_ACCOUNT):
            await self._check_account(token, is_ours=is_ours)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        answer = await self._reviews.create(
            TOKEN_REVIEWS,
            None,
            {
                **body,
                "spec": {"token": token, **({"audiences": [self._audience]} if is_ours else {})},
            },
        )
        status = answer.get("status") or {}
        if status.get("authenticated") and (
            not is_ours or self._audience in (status.get("audiences") or ())
        ):
            return _caller(status["user"], with_pod=is_ours)
        if is_ours and self._expired is not None and _is_expired(claims):
            return await self._expired.identify(token)
        raise Unauthenticated(
            f"The token was not accepted: {status.get('error') or 'it proves no identity'}."
        )

    async def _check_account(self, token: str, *, is_ours: bool) -> None:
        """Refuse a token that cannot be a service account's: the cluster signs those itself, for
        any audience.
        """
        if not (is_ours or self._any_audience):
            raise Unauthenticated(
                "The token is not for this API: ask for one with `kubectl create token ACCOUNT "
                f"--audience {self._audience}`."
            )
        if self._keys is not None:
            try:
                await self._keys.verify(token)
            except NotSigned:
                raise Unauthenticated(
                    "The token was not accepted: its signature is not the cluster's."
                ) from None
            except UnknownKey:
                # The API server has keys that it does not publish, or fails: let it decide.
                pass

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        # The key contains everything that the review is asked: a token with narrower scopes must
        # not get the answer of a wider one.
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
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        }
        answer = await self._reviews.create(SUBJECT_ACCESS_REVIEWS, None, body)
        return bool((answer.get("status") or {}).get("allowed"))


def _attributes(verb: Verb) -> dict[str, str]:
    # Require the right with which kubectl reads a Pod's log.
    if verb is Verb.LOGS:
        return {"group": "", "resource": "pods", "subresource": "log", "verb": "get"}
    resource, _, word = verb.value.rpartition("/")
    if not resource:
        return {"group": OPERATIONS.group, "resource": OPERATIONS.plural, "verb": word}
    plural, _, subresource = resource.partition("/")
    attributes = {"group": RUNS.group, "resource": plural, "verb": word}
    return {**attributes, "subresource": subresource} if subresource else attributes


def _caller(user: Mapping[str, Any], *, with_pod: bool) -> Caller:
    """The caller that a review identified.

    A Pod's token stands for a run only if it was issued for our audience. One for the API server
    counts as a user's, and the rights of its account apply.
    """
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
