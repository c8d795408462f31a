"""What a laptop makes of a Pod, key by key: the key has a meaning, or is left out with a note, or
is refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.local.limits import ignored_parts, refuse_pod
from opstrand.spec.kubernetes.parts import known_keys

ROOT = "/plx-context"
TOKEN = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    main = {"name": "main", "command": ["true"], **(container or {})}
    return {"metadata": {"name": "a"}, "spec": {"containers": [main], **spec}}


def mounts(
    name: str, place: str, volume: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    volumes = [{"name": name, **(volume or {"emptyDir": {}})}]
    return pod({"volumeMounts": [{"name": name, "mountPath": place, **more}]}, volumes=volumes)


#: The tests of processes show what these do.
MEANINGFUL = {"name", "command", "args", "env", "ports", "terminationMessagePolicy"}
WRONG: dict[str, Any] = {
    "volumeMounts": [{"name": "opstrand-other", "mountPath": "/x"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
}


@pytest.mark.parametrize("key", sorted(known_keys()["Container"].keys() - MEANINGFUL))
def test_no_key_of_a_container_is_without_effect_and_without_a_word(key: str) -> None:
    found = pod({key: WRONG.get(key, "/x")})
    assert refuse_pod(found, {}) or ignored_parts(found) == [key]


@pytest.mark.parametrize(
    "key",
    [
        "hostAliases",
        "dnsPolicy",
        "dnsConfig",
        "hostNetwork",
        "hostPID",
        "priority",
        "securityContext",
        "nodeSelector",
        "imagePullSecrets",
    ],
)
def test_keys_of_a_pod_are_left_out_with_a_word(key: str) -> None:
    assert refuse_pod(pod(**{key: "x"}), {}) is None
    assert ignored_parts(pod(**{key: "x"})) == [key]


@pytest.mark.parametrize(
    "key",
    [
        "hostUsers",
        "runtimeClassName",
        "overhead",
        "ephemeralContainers",
        "resourceClaims",
        "somethingNew",
    ],
)
def test_what_is_not_known_is_refused(key: str) -> None:
    assert (
        refuse_pod(pod(**{key: "x"}), {})
        == f"run.environment.{key}: --local does not know what it would mean here"
    )
    words = "run.container.somethingNew: --local does not know what it would mean here"
    assert refuse_pod(pod({"somethingNew": "x"}), {}) == words


@pytest.mark.parametrize(
    "found",
    [
        pod(),
        pod({"env": [TOKEN]}),
        mounts("opstrand-artifacts", f"{ROOT}/artifacts"),
        mounts("opstrand-shm", "/dev/shm/"),
        mounts("opstrand-path-1", f"{ROOT}/data"),
        mounts(
            "opstrand-volume-runs",
            f"{ROOT}/artifacts/1",
            {"hostPath": {"path": "/srv"}},
            subPath="1",
        ),
        mounts("opstrand-volume-data", "/srv/data", {"hostPath": {"path": "/srv/data"}}),
        pod({"workingDir": f"{ROOT}/artifacts"}),
    ],
)
def test_what_a_process_can_have(found: dict[str, Any]) -> None:
    assert refuse_pod(found, {"TOKEN": "t"}) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            pod({"env": [TOKEN]}),
            "run.container.env: TOKEN is the key 'k' of the Secret 's', which needs a cluster",
        ),
        (mounts("data", "/data"), "run.volumes: the volume 'data' needs a cluster"),
        (mounts("opstrand-artifacts", "/data"), "the mount '/data' needs a cluster"),
        (mounts("opstrand-artifacts", f"{ROOT}/artifacts", subPath="a"), "needs a cluster"),
        (
            mounts("opstrand-path-1", "/data"),
            "run.init: the folder '/data' is outside of /plx-context",
        ),
        (
            mounts("opstrand-volume-data", "/data", {"hostPath": {"path": "/srv/data"}}),
            "the mount '/data' needs a cluster",
        ),
        (
            mounts(
                "opstrand-volume-data", "/data", {"persistentVolumeClaim": {"claimName": "data"}}
            ),
            "the mount '/data' needs a cluster",
        ),
        (
            mounts("opstrand-secret-key", f"{ROOT}/key", {"secret": {"secretName": "key"}}),
            "needs a cluster",
        ),
        (pod({"workingDir": "/srv"}), "'/srv' is outside of /plx-context"),
        (pod({"workingDir": f"{ROOT}/../srv"}), "is outside of /plx-context"),
        (mounts("opstrand-path-1", f"{ROOT}/a/../../data"), "is outside of /plx-context"),
        (
            mounts("opstrand-volume-data", f"{ROOT}/../x", {"hostPath": {"path": "/srv/data"}}),
            "needs a cluster",
        ),
        (pod({"workingDir": "srv"}), "'srv' is no absolute path"),
        (pod({"command": []}), "an image's own entry point needs a cluster"),
    ],
)
def test_what_only_a_container_can_have_is_refused(found: dict[str, Any], words: str) -> None:
    assert words in str(refuse_pod(found, {}))
