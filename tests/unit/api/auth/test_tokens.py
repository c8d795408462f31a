"""Whose a token is: it is reviewed once, cached for a while, and an expired one counts only while
its Pod lives.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from opstrand.api.auth.access import authorize
from opstrand.api.auth.callers import (
    Caller,
    Forbidden,
    StaticToken,
    Unauthenticated,
    Verb,
    parse_token,
)
from opstrand.api.auth.expired_tokens import ExpiredTokens
from opstrand.api.auth.keys import ClusterKeys, audiences, read_claims
from opstrand.api.auth.tokens import ClusterAuth
from opstrand.errors import PlatformError
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import Resource

KEY = ec.generate_private_key(ec.SECP256R1())
FOREIGN = ec.generate_private_key(ec.SECP256R1())
POD = {"name": "echo-4f0c1a2b-0", "uid": "pod-uid"}
ACCOUNT = {"name": "default", "uid": "account-uid"}
DAY = 24 * 3600


def token(
    key: Any = KEY,
    *,
    expires_in: float = -60,
    audience: str = "opstrand",
    kid: str = "1",
    **claims: Any,
) -> str:
    bound = {"namespace": "quick-start", "pod": POD, "serviceaccount": ACCOUNT}
    said = {
        "aud": [audience],
        "exp": int(time.time() + expires_in),
        "sub": "system:serviceaccount:quick-start:default",
    }
    return jwt.encode(
        {**said, "kubernetes.io": bound, **claims}, key, algorithm="ES256", headers={"kid": kid}
    )


class Cluster:
    """A cluster that accepts every token as `user`'s, grants people `allowed`, and has `objects` by
    kind and name.
    """

    def __init__(self, user: Mapping[str, Any] | None = None, allowed: bool = False) -> None:
        self.user, self.allowed = user, allowed
        self.asked: list[str] = []
        self.access_reviews: list[dict[str, Any]] = []
        self.keys_read = 0
        self.objects = {
            ("Pod", POD["name"]): {"metadata": {"uid": POD["uid"]}, "status": {"phase": "Running"}},
            ("ServiceAccount", ACCOUNT["name"]): {"metadata": {"uid": ACCOUNT["uid"]}},
        }
        self.trouble: Exception | None = None

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        self.asked.append(resource.kind)
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        if resource.kind == "SubjectAccessReview":
            self.access_reviews.append(body["spec"])
            return {"status": {"allowed": self.allowed}}
        return {
            "status": {
                "authenticated": self.user is not None,
                "user": self.user,
                "audiences": body["spec"].get("audiences"),
            }
        }

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        if (resource.kind, name) not in self.objects:
            raise NotFound(name, status=404)
        return self.objects[resource.kind, name]

    async def read_keys(self) -> Mapping[str, Any]:
        self.keys_read += 1
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
        return {"keys": [{**public, "kid": "1", "alg": "ES256", "use": "sig"}]}

    def auth(self) -> ClusterAuth:
        keys = ClusterKeys(self.read_keys)
        expired = ExpiredTokens(self, keys, audience="opstrand", longest_past=DAY)
        return ClusterAuth(self, audience="opstrand", keys=keys, expired=expired)


RUN_USER = {
    "username": "system:serviceaccount:quick-start:default",
    "groups": ["system:serviceaccounts"],
    "extra": {
        "authentication.kubernetes.io/pod-name": [POD["name"]],
        "authentication.kubernetes.io/pod-uid": [POD["uid"]],
    },
}


async def test_a_token_is_asked_for_once_however_many_come_with_it() -> None:
    cluster = Cluster(RUN_USER)
    auth = cluster.auth()
    own = token(expires_in=60)
    callers = await asyncio.gather(*(auth.identify(own) for _ in range(50)))
    assert cluster.asked == ["TokenReview"]
    assert {(caller.namespace, caller.pod_name, caller.pod_uid) for caller in callers} == {
        ("quick-start", POD["name"], POD["uid"])
    }


async def test_a_token_for_the_api_server_is_a_persons_even_in_a_pod() -> None:
    caller = (
        await Cluster(RUN_USER)
        .auth()
        .identify(token(audience="https://kubernetes.default.svc", expires_in=60))
    )
    assert not caller.is_run


async def test_trouble_is_no_answer_and_not_remembered() -> None:
    cluster = Cluster(RUN_USER)
    auth = cluster.auth()
    cluster.trouble = PlatformError("away")
    with pytest.raises(PlatformError):
        await auth.identify(token(expires_in=60))
    cluster.trouble = None
    assert (await auth.identify(token(expires_in=60))).is_run


async def test_a_refusal_is_remembered_too() -> None:
    cluster = Cluster()
    auth = cluster.auth()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await auth.identify("nonsense")
    assert cluster.asked == ["TokenReview"]


async def test_an_expired_token_counts_while_its_pod_and_its_account_live() -> None:
    caller = await Cluster().auth().identify(token())
    assert caller == Caller(
        name=RUN_USER["username"],
        uid=ACCOUNT["uid"],
        groups=(
            "system:serviceaccounts",
            "system:serviceaccounts:quick-start",
            "system:authenticated",
        ),
        namespace="quick-start",
        pod_name=POD["name"],
        pod_uid=POD["uid"],
    )


ACCOUNTS_TOKEN = {
    "another key": (token(FOREIGN, expires_in=60), []),
    "an altered claim": (
        token(expires_in=90).rpartition(".")[0] + "." + token(expires_in=60).rpartition(".")[2],
        [],
    ),
    "no signature": (token(expires_in=60).rpartition(".")[0] + ".", []),
    "a key that is not published": (token(FOREIGN, expires_in=60, kid="2"), ["TokenReview"]),
    "a person's": (token(FOREIGN, expires_in=60, sub="alice"), ["TokenReview"]),
    "no token at all": ("opaque", ["TokenReview"]),
}


@pytest.mark.parametrize(("made_up", "asked"), ACCOUNTS_TOKEN.values(), ids=ACCOUNTS_TOKEN.keys())
async def test_a_made_up_token_of_an_account_costs_no_review(
    made_up: str, asked: list[str]
) -> None:
    cluster = Cluster()
    auth = cluster.auth()
    for suffix in ("", "A"):
        with pytest.raises(Unauthenticated):
            await auth.identify(made_up + suffix)
    assert set(cluster.asked) == set(asked)
    assert not await auth.is_proven(made_up)


async def test_where_the_keys_cannot_be_read_the_api_server_decides() -> None:
    cluster = Cluster(RUN_USER)

    async def read_keys() -> Mapping[str, Any]:
        raise PlatformError("forbidden")

    auth = ClusterAuth(cluster, audience="opstrand", keys=ClusterKeys(read_keys))
    assert (await auth.identify(token(expires_in=60))).is_run
    assert not await auth.is_proven(token(expires_in=60))


async def test_an_account_can_be_asked_for_a_token_of_our_audience() -> None:
    cluster = Cluster(RUN_USER)
    strict = ClusterAuth(cluster, audience="opstrand", any_audience=False)
    with pytest.raises(Unauthenticated, match="kubectl create token ACCOUNT --audience opstrand"):
        await strict.identify(token(audience="https://kubernetes.default.svc", expires_in=60))
    assert cluster.asked == []
    assert (await strict.identify(token(expires_in=60))).is_run
    assert not (
        await strict.identify(
            token(audience="https://kubernetes.default.svc", expires_in=60, sub="alice")
        )
    ).is_run


def bound(**changes: Any) -> dict[str, Any]:
    """Return Kubernetes' claims with some keys replaced, or left out for None."""
    claim = {"namespace": "quick-start", "pod": POD, "serviceaccount": ACCOUNT, **changes}
    return {"kubernetes.io": {key: value for key, value in claim.items() if value is not None}}


REFUSED = {
    "another key": token(FOREIGN),
    "an unknown key": token(kid="2"),
    "another audience": token(audience="somebody"),
    "no pod": token(**bound(pod=None)),
    "no account": token(**bound(serviceaccount=None)),
    "an account without uid": token(**bound(serviceaccount={"name": "default"})),
    "an account of an earlier time": token(
        **bound(serviceaccount={"name": "default", "uid": "earlier"})
    ),
    "another account than its subject": token(sub="system:serviceaccount:quick-start:admin"),
    "an account of another namespace": token(sub="system:serviceaccount:elsewhere:default"),
    "no namespace": token(**bound(namespace=None)),
    "expired too long ago": token(expires_in=-DAY - 60),
    "no signature": ".".join(token().split(".")[:2]) + ".",
    "not expired, and yet not believed": token(expires_in=DAY),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_an_expired_token_must_be_the_clusters_own(refused: str) -> None:
    with pytest.raises(Unauthenticated):
        await Cluster().auth().identify(refused)


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


GONE = {
    "no pod": (("Pod", POD["name"]), None),
    "another pod of that name": (("Pod", POD["name"]), {"metadata": {"uid": "another"}}),
    "an ended pod": (
        ("Pod", POD["name"]),
        {"metadata": {"uid": POD["uid"]}, "status": {"phase": "Succeeded"}},
    ),
    "a deleted pod": (
        ("Pod", POD["name"]),
        {"metadata": {"uid": POD["uid"], "deletionTimestamp": stamp(-90)}},
    ),
    "no account": (("ServiceAccount", "default"), None),
    "another account of that name": (
        ("ServiceAccount", "default"),
        {"metadata": {"uid": "another"}},
    ),
    "a deleted account": (
        ("ServiceAccount", "default"),
        {"metadata": {"uid": ACCOUNT["uid"], "deletionTimestamp": stamp(-90)}},
    ),
}


@pytest.mark.parametrize(("key", "left"), GONE.values(), ids=GONE.keys())
async def test_an_expired_token_of_what_is_gone_is_worth_nothing(
    key: tuple[str, str], left: dict[str, Any] | None
) -> None:
    cluster = Cluster()
    del cluster.objects[key]
    if left is not None:
        cluster.objects[key] = left
    with pytest.raises(Unauthenticated):
        await cluster.auth().identify(token())


async def test_a_pod_that_is_being_stopped_still_reports() -> None:
    cluster = Cluster()
    cluster.objects["Pod", POD["name"]]["metadata"]["deletionTimestamp"] = stamp(30)
    assert (await cluster.auth().identify(token())).is_run


ALICE = Caller(name="alice", uid="1", groups=("dev",), extra={"scopes": ("read",)})


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, uid="2"),
        replace(ALICE, groups=("dev", "admins")),
        replace(ALICE, extra={"scopes": ("read", "write")}),
        replace(ALICE, extra={"scopes:x": ("read",)}),
        replace(ALICE, extra=None),
    ],
)
async def test_a_right_is_remembered_for_exactly_what_was_asked_about(other: Caller) -> None:
    cluster = Cluster(allowed=True)
    auth = cluster.auth()
    assert await auth.may(ALICE, Verb.CREATE, "quick-start")
    assert await auth.may(replace(ALICE), Verb.CREATE, "quick-start")
    cluster.allowed = False
    assert not await auth.may(other, Verb.CREATE, "quick-start")
    asked = cluster.access_reviews[-1]
    assert (asked["uid"], tuple(asked["groups"])) == (other.uid, other.groups)
    assert asked["extra"] == {key: list(values) for key, values in (other.extra or {}).items()}


async def test_keys_are_not_read_for_every_made_up_token() -> None:
    cluster = Cluster()
    auth = cluster.auth()
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await auth.identify(token(kid=f"made-up-{number}"))
    assert cluster.keys_read == 1


async def test_the_answer_names_the_right_that_is_missing_to_read_logs() -> None:
    class NoLogs(StaticToken):
        async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
            return verb is Verb.READ

    with pytest.raises(Forbidden, match="alice may not read the logs of Pods in quick-start"):
        await authorize(NoLogs(""), Caller(name="alice"), Verb.LOGS, "quick-start")
    with pytest.raises(Forbidden, match="alice may not create operations in quick-start"):
        await authorize(NoLogs(""), Caller(name="alice"), Verb.CREATE, "quick-start")


def test_both_ways_to_write_a_token() -> None:
    assert {parse_token([header]) for header in ("Token abc", "Bearer abc", "bearer  abc")} == {
        "abc"
    }
    for header in ("", "Token", "Token ", "Basic abc", "abc", "Token \udcff"):
        with pytest.raises(Unauthenticated):
            parse_token([header])
    with pytest.raises(Unauthenticated):
        parse_token([])


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "a.b.c",
        "é",
        "." * 5000,
        "eyJhbGciOiJub25lIn0.W10.",
        token()[:-3],
        "a.eyJhdWQiOjV9.c",
        "a.bnVsbA.c",
    ],
)
def test_nonsense_says_nothing_of_itself(nonsense: str) -> None:
    claims = read_claims(nonsense)
    assert set(claims) <= {"aud", "exp", "sub", "kubernetes.io"}
    assert set(audiences(claims)) <= {"opstrand"}
