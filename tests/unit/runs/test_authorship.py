"""Annotations record who requested what; and the API impersonates a user only with everything that
could narrow the user's rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.running_run import operation

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import Resource
from opstrand.kube.session import Session
from opstrand.runs.authorship import Impersonation, extra_of, groups_of, sign, signature_ops
from opstrand.runs.protocols import Control, Identity

ALICE = Identity(
    "alice", "1", ("dev", "system:authenticated"), {"scopes.example.com": ("read", "list")}
)
ACCOUNT = Identity(
    "system:serviceaccount:ns:robot",
    "2",
    ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"),
    {
        "authentication.kubernetes.io/pod-name": ("a-0",),
        "authentication.kubernetes.io/credential-id": ("JTI=1",),
    },
)


class Rules:
    """Grants what is in `granted`: (resource, subresource, name)."""

    def __init__(self, *granted: tuple[str, str, str]) -> None:
        self.granted, self.asked = set(granted), 0

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        self.asked += 1
        assert resource.kind == "SelfSubjectAccessReview"
        asked = body["spec"]["resourceAttributes"]
        assert asked["verb"] == "impersonate"
        key = (
            asked["resource"],
            asked.get("subresource") or asked.get("namespace") or "",
            asked["name"],
        )
        return {"status": {"allowed": key in self.granted}}


ALL_OF_ALICE = [
    ("users", "", "alice"),
    ("groups", "", "dev"),
    ("userextras", "scopes.example.com", "read"),
    ("userextras", "scopes.example.com", "list"),
]


async def test_a_user_is_impersonated_with_everything_or_not_at_all() -> None:
    assert await Impersonation(Rules(*ALL_OF_ALICE)).may(ALICE)
    for missing in ALL_OF_ALICE:
        assert not await Impersonation(Rules(*(one for one in ALL_OF_ALICE if one != missing))).may(
            ALICE
        )


async def test_an_account_needs_no_more_than_the_right_on_itself() -> None:
    assert await Impersonation(Rules(("serviceaccounts", "ns", "robot"))).may(ACCOUNT)
    assert not await Impersonation(Rules(("serviceaccounts", "other", "robot"))).may(ACCOUNT)
    assert not await Impersonation(Rules(("users", "", ACCOUNT.name))).may(ACCOUNT)


async def test_the_question_is_asked_once() -> None:
    rules = Rules()
    impersonation = Impersonation(rules)
    for _ in range(5):
        assert not await impersonation.may(ALICE)
    assert rules.asked == 1


@pytest.mark.parametrize("text", ["a\nImpersonate-Group: system:masters", "a\r", "a\0b", "\x1b[2J"])
async def test_what_is_no_header_is_not_sent_as_one(text: str) -> None:
    for user in (
        Identity(text),
        Identity("a", groups=(text,)),
        Identity("a", extra={text: ("x",)}),
        Identity("a", extra={"x": (text,)}),
    ):

        class Everything(Rules):
            async def create(self, *_: Any) -> dict[str, Any]:
                return {"status": {"allowed": True}}

        assert not await Impersonation(Everything()).may(user)


def test_what_the_api_server_adds_by_itself_is_not_named() -> None:
    assert (groups_of(ALICE), extra_of(ALICE)) == (
        ["dev"],
        {"scopes.example.com": ("read", "list")},
    )
    assert (groups_of(ACCOUNT), extra_of(ACCOUNT)) == ([], {})
    # Once one group is named, the API server adds none of an account's groups.
    more = Identity(ACCOUNT.name, groups=(*ACCOUNT.groups, "extra"))
    assert groups_of(more) == ["system:serviceaccounts", "system:serviceaccounts:ns", "extra"]


async def test_headers_of_impersonation() -> None:
    kube = KubeApi(Session("http://x", "ns", None)).impersonate(
        "alice", ["a", "b"], {"Scopes/x": ["1", "2"]}
    )  # type: ignore[arg-type]
    assert kube._headers == (
        ("Impersonate-User", "alice"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-Scopes%2Fx", "1"),
        ("Impersonate-Extra-Scopes%2Fx", "2"),
    )


def test_an_operation_is_signed_beside_its_other_annotations() -> None:
    body = {"metadata": {"generateName": "a-", "annotations": {"x": "y"}}}
    assert sign(body, ALICE)["metadata"]["annotations"] == {
        "x": "y",
        "opstrand.dev/created-by": "alice",
    }
    assert body["metadata"]["annotations"] == {"x": "y"}
    assert sign(body, None) == body


def test_only_a_change_is_signed() -> None:
    body = operation()
    body["metadata"] |= {"annotations": {}, "resourceVersion": "7"}
    stop = Control({"stop": True})
    assert signature_ops(body, stop, ALICE) == [
        {"op": "add", "path": "/metadata/annotations/opstrand.dev~1stopped-by", "value": "alice"}
    ]
    body["spec"]["control"] = {"stop": True}
    assert (
        signature_ops(body, stop, ALICE) == signature_ops(body, Control({"skip": True}), None) == []
    )
    del body["metadata"]["annotations"]
    ops = signature_ops(body, Control(is_approved=True), ALICE)
    assert [(op["op"], op["path"]) for op in ops] == [
        ("replace", "/metadata/resourceVersion"),
        ("add", "/metadata/annotations"),
        ("add", "/metadata/annotations/opstrand.dev~1approved-by"),
    ]
