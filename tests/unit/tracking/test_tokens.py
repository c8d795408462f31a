"""Who a token belongs to: asked once, remembered for a while, and an expired one only while its Pod lives."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from opstrand.errors import PlatformError
from opstrand.kube.api import NotFound, Resource
from opstrand.tracking.auth import Caller, Forbidden, StaticToken, Unauthenticated, Verb, authorize, authorize_report, parse_token
from opstrand.tracking.expired import ExpiredTokens, read_claims
from opstrand.tracking.runs import RunNotFound
from opstrand.tracking.tokens import ClusterAuth

from .conftest import operation

KEY = ec.generate_private_key(ec.SECP256R1())
FOREIGN = ec.generate_private_key(ec.SECP256R1())
POD = {"name": "echo-4f0c1a2b-0", "uid": "pod-uid"}


def token(key: Any = KEY, *, expires_in: float = -60, audience: str = "opstrand", kid: str = "1", **claims: Any) -> str:
    bound = {"namespace": "quick-start", "pod": POD}
    said = {"aud": [audience], "exp": int(time.time() + expires_in), "sub": "system:serviceaccount:quick-start:default"}
    return jwt.encode({**said, "kubernetes.io": bound, **claims}, key, algorithm="ES256", headers={"kid": kid})


class Cluster:
    """A cluster that believes `user` behind every token, lets people do `allowed`, and runs `pods`."""

    def __init__(self, user: Mapping[str, Any] | None = None, allowed: bool = False) -> None:
        self.user, self.allowed = user, allowed
        self.asked: list[str] = []
        self.keys_read = 0
        self.pods: dict[str, dict[str, Any]] = {}
        self.trouble: Exception | None = None

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(resource.kind)
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        if resource.kind == "SubjectAccessReview":
            return {"status": {"allowed": self.allowed}}
        return {"status": {"authenticated": self.user is not None, "user": self.user, "audiences": body["spec"].get("audiences")}}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        if name not in self.pods:
            raise NotFound(name, status=404)
        return self.pods[name]

    async def read_keys(self) -> Mapping[str, Any]:
        self.keys_read += 1
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
        return {"keys": [{**public, "kid": "1", "alg": "ES256", "use": "sig"}]}

    def auth(self) -> ClusterAuth:
        return ClusterAuth(self, audience="opstrand", expired=ExpiredTokens(self, self.read_keys, audience="opstrand"))


RUN_USER = {
    "username": "system:serviceaccount:quick-start:default",
    "groups": ["system:serviceaccounts"],
    "extra": {"authentication.kubernetes.io/pod-name": [POD["name"]], "authentication.kubernetes.io/pod-uid": [POD["uid"]]},
}


async def test_a_token_is_asked_for_once_however_many_come_with_it() -> None:
    cluster = Cluster(RUN_USER)
    auth = cluster.auth()
    own = token(expires_in=60)
    callers = await asyncio.gather(*(auth.identify(own) for _ in range(50)))
    assert cluster.asked == ["TokenReview"]
    assert {(caller.namespace, caller.pod_name, caller.pod_uid) for caller in callers} == {("quick-start", POD["name"], POD["uid"])}


async def test_a_token_for_the_api_server_is_a_persons_even_in_a_pod() -> None:
    caller = await Cluster(RUN_USER).auth().identify(token(audience="https://kubernetes.default.svc", expires_in=60))
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


async def test_an_expired_token_counts_while_its_pod_lives() -> None:
    cluster = Cluster()
    cluster.pods[POD["name"]] = {"metadata": {"uid": POD["uid"]}, "status": {"phase": "Running"}}
    caller = await cluster.auth().identify(token())
    assert caller == Caller(name=RUN_USER["username"], namespace="quick-start", pod_name=POD["name"], pod_uid=POD["uid"])


REFUSED = {
    "another key": token(FOREIGN),
    "an unknown key": token(kid="2"),
    "another audience": token(audience="somebody"),
    "no pod": token(**{"kubernetes.io": {"namespace": "quick-start"}}),
    "no signature": ".".join(token().split(".")[:2]) + ".",
    "not expired, and yet not believed": token(expires_in=24 * 3600),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
async def test_an_expired_token_must_be_the_clusters_own(refused: str) -> None:
    cluster = Cluster()
    cluster.pods[POD["name"]] = {"metadata": {"uid": POD["uid"]}, "status": {"phase": "Running"}}
    with pytest.raises(Unauthenticated):
        await cluster.auth().identify(refused)


@pytest.mark.parametrize("pod", [None, {"uid": "another"}, {"uid": POD["uid"], "phase": "Succeeded"}])
async def test_an_expired_token_of_a_pod_that_is_gone_is_worth_nothing(pod: dict[str, str] | None) -> None:
    cluster = Cluster()
    if pod:
        cluster.pods[POD["name"]] = {"metadata": {"uid": pod["uid"]}, "status": {"phase": pod.get("phase", "Running")}}
    with pytest.raises(Unauthenticated):
        await cluster.auth().identify(token())


async def test_keys_are_not_read_for_every_made_up_token() -> None:
    cluster = Cluster()
    auth = cluster.auth()
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await auth.identify(token(kid=f"made-up-{number}"))
    assert cluster.keys_read == 1


def own_pod(**changes: str) -> Caller:
    return Caller(**{"name": "sa", "namespace": "quick-start", "pod_name": POD["name"], "pod_uid": POD["uid"], **changes})


async def test_a_run_writes_itself_and_nothing_else() -> None:
    auth = Cluster().auth()
    await authorize_report(auth, own_pod(), operation())
    await authorize_report(auth, own_pod(), operation(pod={"name": POD["name"]}))  # its uid is not written yet
    for stranger in (own_pod(pod_name="other"), own_pod(pod_uid="other"), own_pod(namespace="other")):
        with pytest.raises(RunNotFound):
            await authorize_report(auth, stranger, operation())
    with pytest.raises(RunNotFound):
        await authorize_report(auth, own_pod(), operation(pod={"name": "echo-4f0c1a2b-1"}))  # its next attempt took over


async def test_the_replicas_of_a_service_that_the_operator_wrote_down_write_their_run() -> None:
    auth = Cluster().auth()
    body = operation()
    replicas = [{"name": "web-1", "uid": "1"}, {"name": "web-2", "uid": "2"}]
    body["status"].update(pod=replicas[0], service={"pods": replicas})
    for number in ("1", "2"):
        await authorize_report(auth, own_pod(pod_name=f"web-{number}", pod_uid=number), body)
    for stranger in (own_pod(pod_name="web-2", pod_uid="1"), own_pod(pod_name="web-3", pod_uid="3"), own_pod()):
        with pytest.raises(RunNotFound):
            await authorize_report(auth, stranger, body)


async def test_who_may_not_read_logs_is_told_which_right_is_missing() -> None:
    class NoLogs(StaticToken):
        async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
            return verb is Verb.READ

    with pytest.raises(Forbidden, match="alice may not read the logs of Pods in quick-start"):
        await authorize(NoLogs(""), Caller(name="alice"), Verb.LOGS, "quick-start")
    with pytest.raises(Forbidden, match="alice may not create operations in quick-start"):
        await authorize(NoLogs(""), Caller(name="alice"), Verb.CREATE, "quick-start")


async def test_a_run_reads_its_project_and_asks_nothing_of_it() -> None:
    auth = Cluster().auth()
    for verb in Verb:
        with pytest.raises(RunNotFound):
            await authorize(auth, own_pod(), verb, "another")
    for verb in (Verb.READ, Verb.LIST, Verb.LOGS):
        await authorize(auth, own_pod(), verb, "quick-start")
    for verb in (Verb.CREATE, Verb.CONTROL, Verb.DELETE):
        with pytest.raises(Forbidden):
            await authorize(auth, own_pod(), verb, "quick-start")


def test_both_ways_to_write_a_token() -> None:
    assert parse_token("Token abc") == parse_token("Bearer abc") == parse_token("bearer  abc") == "abc"
    for header in (None, "", "Token", "Token ", "Basic abc", "abc", "Token \udcff"):
        with pytest.raises(Unauthenticated):
            parse_token(header)


@pytest.mark.parametrize("nonsense", ["", "a.b.c", "é", "." * 5000, "eyJhbGciOiJub25lIn0.W10.", token()[:-3]])
def test_nonsense_says_nothing_of_itself(nonsense: str) -> None:
    assert set(read_claims(nonsense)) <= {"aud", "exp", "sub", "kubernetes.io"}
