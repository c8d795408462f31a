"""A Pod's mounts, names and labels where the user's own things meet ours: nothing stands twice, and nothing unneeded."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.pods.connections import Catalog, read_catalog
from opstrand.core.pods.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.core.pods.pod_rules import check_plan
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file

from .build import ME, operation, values

OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "1"}
STORE = {"name": "store", "kind": "volume_claim", "schema": {"volumeClaim": "runs", "mountPath": "/store"}}
DATA = {"name": "data", "kind": "host_path", "schema": {"hostPath": "/srv/data", "mountPath": "/data", "readOnly": True}}
KEY = {"name": "key", "kind": "ssh", "schema": {"url": "git@git.test:a.git"}, "secret": {"name": "key", "mountPath": "/etc/keys"}}
BUCKET = {"name": "bucket", "kind": "s3", "schema": {"bucket": "s3://b"}, "secret": {"name": "s3"}}
CATALOG: Catalog = read_catalog(parse_catalog_file({"artifactsStore": STORE, "connections": [DATA, KEY, BUCKET]}))
SCRATCH = {"name": "scratch", "emptyDir": {}}
FILE = {"content": "x"}


def pod(run: dict[str, Any], **own: Any) -> dict[str, Any]:
    """The Pod of a job, which is sound: no place and no name twice, every volume there and used."""
    compiled = operation(run=run, **own)
    plan = compile_plan(compiled, values(compiled), ME, CATALOG.schemas)
    check_plan(plan)
    rendered = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=Settings(), catalog=CATALOG).pod
    containers = [*rendered["spec"]["initContainers"], *rendered["spec"]["containers"]]
    mounts = [(one["name"], mount["mountPath"].rstrip("/")) for one in containers for mount in one.get("volumeMounts", ())]
    assert len(mounts) == len(set(mounts))
    assert len(containers) == len({one["name"] for one in containers})
    used = {mount["name"] for one in containers for mount in one.get("volumeMounts", ())}
    assert used == {one["name"] for one in rendered["spec"]["volumes"]}
    return rendered


def mounted(container: dict[str, Any]) -> dict[str, str]:
    return {one["mountPath"]: one["name"] for one in container["volumeMounts"]}


def with_mount(path: str) -> dict[str, Any]:
    return {"volumes": [SCRATCH], "container": {"image": "busybox", "volumeMounts": [{"name": "scratch", "mountPath": path}]}}


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/"])
def test_a_shared_memory_of_ones_own_stays(path: str) -> None:
    (main,) = pod(with_mount(path))["spec"]["containers"]
    assert mounted(main)[path] == "scratch"


@pytest.mark.parametrize(
    "run",
    [
        {"connections": ["data", "data"]},
        {"connections": ["store"]},
        {"init": [{"file": FILE, "path": "/p"}, {"file": {"content": "y", "filename": "b"}, "path": "/p/"}]},
        {"init": [{"file": FILE, "path": "/dev/shm"}]},
        {"init": [{"file": FILE, "path": "/plx-context/artifacts/"}]},
        {"init": [{"connection": "key"}]},
        {"init": [{"git": {"url": "https://git.test/a"}}, {"file": FILE, "path": "/tmp"}, {"connection": "key"}]},
        {"init": [{"container": {"image": "a", "name": "init-2"}}, {"container": {"image": "a"}}]},
        {"sidecars": [{"image": "a", "name": "sidecar-1"}, {"image": "a"}]},
        {"init": [{"container": {"image": "a", "name": "sidecar-0"}}], "sidecars": [{"image": "a"}]},
    ],
)
def test_what_is_asked_for_twice_is_there_once(run: dict[str, Any]) -> None:
    pod(run)
    pod(run, plugins={"mountArtifactsStore": True})


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({**with_mount("/data"), "connections": ["data"]}, "run.container.volumeMounts: the volumes 'scratch' and 'opstrand-volume-"),
        ({**with_mount("/p"), "init": [{"file": FILE, "path": "/p"}]}, "run.container.volumeMounts: the volumes 'scratch' and"),
        (with_mount(f"/plx-context/artifacts/{ME.uuid}"), "run.container.volumeMounts: the volumes 'scratch' and 'opstrand-volume-runs"),
        ({"connections": ["data"], "init": [{"file": FILE, "path": "/data"}]}, "are both mounted at /data"),
        (
            {
                "volumes": [SCRATCH],
                "connections": ["data"],
                "sidecars": [{"image": "a", "volumeMounts": [{"name": "scratch", "mountPath": "/data"}]}],
            },
            "run.sidecars[0].volumeMounts: ",
        ),
    ],
)
def test_two_things_at_one_place_are_named_before_anything_is_sent(run: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        pod(run)
    assert words in str(caught.value)


def test_a_command_of_ones_own_finds_its_connection_where_main_would() -> None:
    spec = pod({"init": [{"connection": "data", "paths": ["a"], "container": {"command": ["cp", "/data/a", "/b"]}}]})["spec"]
    step = spec["initContainers"][1]
    assert "/data" in mounted(step)
    assert "POLYAXON_CONNECTIONS_CATALOG" in {one["name"] for one in step["env"]}
    spec = pod({"init": [{"connection": "data", "paths": ["a"], "container": {"resources": {"limits": {"memory": "1Gi"}}}}]})["spec"]
    assert "/data" not in mounted(spec["initContainers"][1])


def test_a_container_can_fetch_from_a_bucket_by_itself() -> None:
    step = pod({"init": [{"connection": "bucket", "container": {"image": "aws-cli"}}]})["spec"]["initContainers"][1]
    assert step["image"] == "aws-cli"
    assert step["envFrom"] == [{"secretRef": {"name": "s3"}}]


@pytest.mark.parametrize(("queue", "label"), [("fast", "fast"), ("agent/fast", "fast")])
def test_the_queue_is_kueues_label(queue: str, label: str) -> None:
    assert pod({}, queue=queue)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == label


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"queue": "not a queue"}, "queue: expected the name of a queue, or agent/queue, found the text 'not a queue'"),
        (
            {"termination": {"timeout": 2**31}},
            "termination.timeout: expected a whole number from 0 to 2147483647, found the number 2147483648",
        ),
        ({"termination": {"timeout": -1}}, "termination.timeout: expected a whole number from 0 to 2147483647, found the number -1"),
        ({"termination": {"ttl": "{{ word }}"}}, "termination.ttl: expected a whole number from 0 to 2147483647, found the text 'soon'"),
        ({"termination": {"maxRetries": "{{ flag }}"}}, "termination.maxRetries: expected a whole number from 0 to 2147483647, found true"),
    ],
)
def test_limits_and_queues_that_are_none(own: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        pod({}, params={"word": "soon", "flag": True}, **own)
    assert str(caught.value) == words
