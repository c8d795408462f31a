"""A Pod's mounts, names and labels when the user's parts and ours have the same ones: nothing is
there twice, and nothing without use.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from tests.support.builders import ME, operation, values

from opstrand.core.planning.connections import Catalog, read_catalog
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.core.pods.pod_rules import check_plan
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.connections import parse_catalog_file

OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "1"}
STORE = {
    "name": "store",
    "kind": "volume_claim",
    "schema": {"volumeClaim": "runs", "mountPath": "/store"},
}
DATA = {
    "name": "data",
    "kind": "host_path",
    "schema": {"hostPath": "/srv/data", "mountPath": "/data", "readOnly": True},
}
KEY = {
    "name": "key",
    "kind": "ssh",
    "schema": {"url": "git@git.test:a.git"},
    "secret": {"name": "key", "mountPath": "/etc/keys"},
}
BUCKET = {"name": "bucket", "kind": "s3", "schema": {"bucket": "s3://b"}, "secret": {"name": "s3"}}
CATALOG: Catalog = read_catalog(
    parse_catalog_file({"artifactsStore": STORE, "connections": [DATA, KEY, BUCKET]})
)
SCRATCH = {"name": "scratch", "emptyDir": {}}
FILE = {"content": "x"}


def pod(run: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the Pod of a job and check it: no path and no name twice, every volume exists and is
    used.
    """
    compiled = operation(run=run, **own)
    plan = compile_plan(compiled, values(compiled), ME, CATALOG.schemas)
    check_plan(plan)
    rendered = render_pod(
        plan, owner=OWNER, pod_name="eval-0", settings=Settings(), catalog=CATALOG
    ).pod
    containers = [*rendered["spec"]["initContainers"], *rendered["spec"]["containers"]]
    mounts = [
        (one["name"], mount["mountPath"].rstrip("/"))
        for one in containers
        for mount in one.get("volumeMounts", ())
    ]
    assert len(mounts) == len(set(mounts))
    assert len(containers) == len({one["name"] for one in containers})
    used = {mount["name"] for one in containers for mount in one.get("volumeMounts", ())}
    assert used == {one["name"] for one in rendered["spec"]["volumes"]}
    return rendered


def mounted(container: dict[str, Any]) -> dict[str, str]:
    return {one["mountPath"]: one["name"] for one in container["volumeMounts"]}


def with_mount(path: str) -> dict[str, Any]:
    return {
        "volumes": [SCRATCH],
        "container": {"image": "busybox", "volumeMounts": [{"name": "scratch", "mountPath": path}]},
    }


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/"])
def test_a_shared_memory_of_ones_own_stays(path: str) -> None:
    (main,) = pod(with_mount(path))["spec"]["containers"]
    assert mounted(main)[path] == "scratch"


@pytest.mark.parametrize(
    "run",
    [
        {"connections": ["data", "data"]},
        {"connections": ["store"]},
        {
            "init": [
                {"file": FILE, "path": "/p"},
                {"file": {"content": "y", "filename": "b"}, "path": "/p/"},
            ]
        },
        {"init": [{"file": FILE, "path": "/dev/shm"}]},
        {"init": [{"file": FILE, "path": "/plx-context/artifacts/"}]},
        {"init": [{"connection": "key"}]},
        {
            "init": [
                {"git": {"url": "https://git.test/a"}},
                {"file": FILE, "path": "/tmp"},
                {"connection": "key"},
            ]
        },
        {"init": [{"container": {"image": "a", "name": "init-2"}}, {"container": {"image": "a"}}]},
        {"sidecars": [{"image": "a", "name": "sidecar-1"}, {"image": "a"}]},
        {
            "init": [{"container": {"image": "a", "name": "sidecar-0"}}],
            "sidecars": [{"image": "a"}],
        },
    ],
)
def test_what_is_asked_for_twice_is_there_once(run: dict[str, Any]) -> None:
    pod(run)
    pod(run, plugins={"mountArtifactsStore": True})


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (
            {**with_mount("/data"), "connections": ["data"]},
            "run.container.volumeMounts: the volumes 'scratch' and 'opstrand-volume-",
        ),
        (
            {**with_mount("/p"), "init": [{"file": FILE, "path": "/p"}]},
            "run.container.volumeMounts: the volumes 'scratch' and",
        ),
        (
            with_mount(f"/plx-context/artifacts/{ME.uuid}"),
            "run.container.volumeMounts: the volumes 'scratch' and 'opstrand-volume-runs",
        ),
        (
            {"connections": ["data"], "init": [{"file": FILE, "path": "/data"}]},
            "are both mounted at /data",
        ),
        (
            {
                "volumes": [SCRATCH],
                "connections": ["data"],
                "sidecars": [
                    {"image": "a", "volumeMounts": [{"name": "scratch", "mountPath": "/data"}]}
                ],
            },
            "run.sidecars[0].volumeMounts: ",
        ),
    ],
)
def test_two_things_at_one_place_are_named_before_anything_is_sent(
    run: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        pod(run)
    assert words in str(caught.value)


def test_a_command_of_ones_own_finds_its_connection_where_main_would() -> None:
    spec = pod(
        {
            "init": [
                {
                    "connection": "data",
                    "paths": ["a"],
                    "container": {"command": ["cp", "/data/a", "/b"]},
                }
            ]
        }
    )["spec"]
    step = spec["initContainers"][1]
    assert "/data" in mounted(step)
    assert "POLYAXON_CONNECTIONS_CATALOG" in {one["name"] for one in step["env"]}
    spec = pod(
        {
            "init": [
                {
                    "connection": "data",
                    "paths": ["a"],
                    "container": {"resources": {"limits": {"memory": "1Gi"}}},
                }
            ]
        }
    )["spec"]
    assert "/data" not in mounted(spec["initContainers"][1])


def test_a_container_can_fetch_from_a_bucket_by_itself() -> None:
    step = pod({"init": [{"connection": "bucket", "container": {"image": "aws-cli"}}]})["spec"][
        "initContainers"
    ][1]
    assert step["image"] == "aws-cli"
    assert step["envFrom"] == [{"secretRef": {"name": "s3"}}]


@pytest.mark.parametrize(("queue", "label"), [("fast", "fast"), ("agent/fast", "fast")])
def test_the_queue_is_kueues_label(queue: str, label: str) -> None:
    assert pod({}, queue=queue)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == label


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            {"queue": "not a queue"},
            "queue: expected the name of a queue, or agent/queue, found the text 'not a queue'",
        ),
        (
            {"termination": {"timeout": 2**31}},
            "termination.timeout: expected a whole number from 0 to 2147483647, found the number "
            "2147483648",
        ),
        (
            {"termination": {"timeout": -1}},
            "termination.timeout: expected a whole number from 0 to 2147483647, found the number "
            "-1",
        ),
        (
            {"termination": {"ttl": "{{ word }}"}},
            "termination.ttl: expected a whole number from 0 to 2147483647, found the text 'soon'",
        ),
        (
            {"termination": {"maxRetries": "{{ flag }}"}},
            "termination.maxRetries: expected a whole number from 0 to 2147483647, found true",
        ),
    ],
)
def test_limits_and_queues_that_are_none(own: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        pod({}, params={"word": "soon", "flag": True}, **own)
    assert str(caught.value) == words


def at(container: dict[str, Any], place: str) -> dict[str, Any]:
    (found,) = (one for one in container["volumeMounts"] if one["mountPath"] == place)
    return {key: value for key, value in found.items() if key != "mountPath"}


#: The published platform's names of a run's volumes, and where it mounts each.
PUBLISHED = {
    "artifacts-context": "/plx-context/artifacts",
    "configs-context": "/plx-context/.configs",
    "shm": "/dev/shm",
    "docker": "/var/run/docker.sock",
    "data": "/data",
}


def published_names() -> dict[str, str]:
    """Return the same, with the name that the published package computes for a folder of an init
    step.
    """
    return {**PUBLISHED, f"connections-context-{uuid.uuid5(uuid.NAMESPACE_DNS, '/p').hex}": "/p"}


@pytest.mark.parametrize("kind", ["main", "sidecar", "init", "step"])
def test_a_users_container_mounts_the_runs_volumes_by_their_published_names(kind: str) -> None:
    """Each is mounted at the platform's own path, where ours is mounted too, and at another one."""
    mounts = [{"name": name, "mountPath": place} for name, place in published_names().items()]
    mounts += [
        {"name": name, "mountPath": f"/elsewhere{place}"}
        for name, place in published_names().items()
    ]
    users = {"image": "a", "volumeMounts": mounts}
    plain = {"image": "a"}
    run = {
        "container": users if kind == "main" else plain,
        "sidecars": [users] if kind == "sidecar" else [],
        "init": [{"file": FILE, "path": "/p"}, {"paths": ["a"], "connection": "data"}],
        "connections": ["data"],
    }
    run["init"] += {
        "init": [{"container": users}],
        "step": [{"file": FILE, "container": {"volumeMounts": mounts}}],
    }.get(kind, [])
    spec = pod(run, plugins={"docker": True})["spec"]
    containers = {
        "main": spec["containers"][0],
        "sidecar": spec["initContainers"][-1],
        "init": spec["initContainers"][-1],
    }
    container = containers.get(kind, spec["initContainers"][-1])
    main = mounted(
        pod({**run, "container": plain}, plugins={"docker": True})["spec"]["containers"][0]
    )
    for place in published_names().values():
        assert mounted(container)[place] == mounted(container)[f"/elsewhere{place}"] == main[place]
    run_folder = f"/plx-context/artifacts/{ME.uuid}"
    assert at(container, run_folder) == at(container, f"/elsewhere{run_folder}")
    assert at(container, run_folder)["subPath"] == ME.uuid


def test_the_runs_folder_by_a_sub_path_is_the_one_in_the_store() -> None:
    mount = {
        "name": "artifacts-context",
        "mountPath": "/out",
        "subPath": "{{ globals.uuid }}/outputs",
    }
    step = pod({"init": [{"container": {"image": "a", "volumeMounts": [mount]}}]})["spec"][
        "initContainers"
    ][1]
    assert at(step, "/out")["name"].startswith("opstrand-volume-runs-")
    assert at(step, "/out")["subPath"] == f"{ME.uuid}/outputs"
    mount = {"name": "artifacts-context", "mountPath": "/out", "subPath": "code", "readOnly": True}
    step = pod({"init": [{"container": {"image": "a", "volumeMounts": [mount]}}]})["spec"][
        "initContainers"
    ][1]
    assert at(step, "/out") == {"name": "opstrand-artifacts", "subPath": "code", "readOnly": True}
    assert list(mounted(step)) == ["/out"]


@pytest.mark.parametrize("plugins", [{"mountArtifactsStore": True}, {"collectArtifacts": False}])
@pytest.mark.parametrize("kind", ["container", "sidecars", "init"])
def test_the_store_is_mounted_by_its_name_where_the_run_has_it(
    kind: str, plugins: dict[str, Any]
) -> None:
    users = {"image": "a", "volumeMounts": [{"name": "store", "mountPath": "/all"}]}
    run = {"container": {"image": "a"}} | {
        "container": {"container": users},
        "sidecars": {"sidecars": [users]},
    }.get(kind, {})
    run |= {"init": [{"container": users}]} if kind == "init" else {}
    spec = pod(run, plugins=plugins)["spec"]
    (volume,) = (
        one["name"]
        for one in spec["volumes"]
        if one.get("persistentVolumeClaim") == {"claimName": "runs"}
    )
    (found,) = (
        one for one in (*spec["initContainers"], *spec["containers"]) if "/all" in mounted(one)
    )
    assert mounted(found)["/all"] == volume
    users["volumeMounts"][0]["name"] = "stoer"  # type: ignore[index]
    with pytest.raises(SpecError, match="there is no volume 'stoer'"):
        pod(run, plugins=plugins)


def test_a_volume_of_ones_own_keeps_a_published_name() -> None:
    run = {
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
        "container": {"image": "a", "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]},
    }
    spec = pod(run)["spec"]
    assert mounted(spec["containers"][0])["/dev/shm"] == "shm"
    assert "opstrand-shm" not in {one["name"] for one in spec["volumes"]}


@pytest.mark.parametrize(
    ("mount", "own", "words"),
    [
        (
            {"name": "artefacts-context"},
            {},
            "there is no volume 'artefacts-context' (did you mean 'artifacts-context'?",
        ),
        ({"name": "shm"}, {"plugins": {"shm": False}}, "there is no volume 'shm'"),
        ({"name": "docker"}, {}, "there is no volume 'docker'"),
        ({"name": "bucket"}, {}, "there is no volume 'bucket'"),
        ({"name": "store"}, {}, "there is no volume 'store'"),
    ],
)
def test_a_name_of_nothing_that_the_run_has_is_refused(
    mount: dict[str, str], own: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        pod({"container": {"image": "a", "volumeMounts": [{**mount, "mountPath": "/x"}]}}, **own)
    assert words in str(caught.value)


def test_a_connection_without_a_volume_cannot_be_mounted() -> None:
    with pytest.raises(SpecError) as caught:
        pod(
            {
                "connections": ["bucket"],
                "container": {
                    "image": "a",
                    "volumeMounts": [{"name": "bucket", "mountPath": "/x"}],
                },
            }
        )
    assert "the connection 'bucket' is of kind s3, which has no volume" in str(caught.value)


def test_the_main_container_answers_to_its_published_name() -> None:
    source = {"resourceFieldRef": {"containerName": "polyaxon-main", "resource": "limits.cpu"}}
    run = {
        "container": {
            "image": "a",
            "name": "polyaxon-main",
            "env": [{"name": "CPU", "valueFrom": source}],
            "volumeMounts": [{"name": "limits", "mountPath": "/limits"}],
        },
        "volumes": [{"name": "limits", "downwardAPI": {"items": [{"path": "cpu", **source}]}}],
    }
    spec = pod(run)["spec"]
    (main,) = spec["containers"]
    assert main["name"] == "main"
    found = next(one for one in main["env"] if one["name"] == "CPU")["valueFrom"][
        "resourceFieldRef"
    ]
    assert found["containerName"] == "main"
    volume = next(one for one in spec["volumes"] if one["name"] == "limits")
    assert volume["downwardAPI"]["items"][0]["resourceFieldRef"]["containerName"] == "main"


NOTED = read_catalog(
    parse_catalog_file(
        {
            "artifactsStore": {
                **STORE,
                "annotations": {"of.test/store": True},
                "env": {"STORE": "s"},
            },
            "connections": [
                {**DATA, "annotations": {"of.test/data": 1}},
                {**KEY, "annotations": {"of.test/key": "k"}},
            ],
        }
    )
)


def noted(run: dict[str, Any], catalog: Catalog = NOTED, **own: Any) -> dict[str, Any]:
    compiled = operation(run=run, **own)
    store = "" if catalog.store is None else str(catalog.store.schema["mountPath"])
    plan = compile_plan(compiled, values(compiled), ME, catalog.schemas, store_path=store)
    check_plan(plan)
    return render_pod(
        plan, owner=OWNER, pod_name="eval-0", settings=Settings(), catalog=catalog
    ).pod


@pytest.mark.parametrize(
    ("run", "of"),
    [
        ({"connections": ["data"]}, {"of.test/data": "1"}),
        ({"init": [{"connection": "key"}]}, {"of.test/key": "k"}),
        (
            {"init": [{"connection": "data", "paths": ["a"]}, {"container": {"image": "a"}}]},
            {"of.test/data": "1"},
        ),
        (
            {"init": [{"connection": "data", "container": {"image": "a"}}], "connections": ["key"]},
            {"of.test/data": "1", "of.test/key": "k"},
        ),
    ],
)
def test_every_connection_of_a_run_annotates_its_pod(
    run: dict[str, Any], of: dict[str, str]
) -> None:
    found = noted(run)["metadata"]["annotations"]
    assert {key: value for key, value in found.items() if key.startswith("of.test/")} == {
        **of,
        "of.test/store": "true",
    }


@pytest.mark.parametrize("plugins", [{"mountArtifactsStore": True}, {"collectArtifacts": False}])
@pytest.mark.parametrize("run", [{}, {"connections": ["store"]}, {"sidecars": [{"image": "a"}]}])
def test_a_mounted_store_is_a_connection_of_the_run(
    run: dict[str, Any], plugins: dict[str, Any]
) -> None:
    spec = noted(run, plugins=plugins)["spec"]
    for container in (
        spec["containers"][0],
        *(spec["initContainers"][1:] if run.get("sidecars") else ()),
    ):
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert [
            one["name"] for one in json.loads(env["POLYAXON_CONNECTIONS_CATALOG"])["connections"]
        ] == ["store"]
        assert (env["STORE"], env["POLYAXON_ARTIFACTS_STORE_NAME"]) == ("s", "store")
        assert mounted(container)["/store"].startswith("opstrand-volume-runs-")
    assert len({one["name"] for one in spec["volumes"]}) == len(spec["volumes"])


def test_files_that_are_not_collected_are_written_into_the_store() -> None:
    """The folders exist before main starts, and `globals` name them."""
    run = {
        "container": {
            "image": "a",
            "args": ["{{ globals.run_artifacts_path }}", "{{ globals.run_outputs_path }}"],
        }
    }
    spec = noted(run, plugins={"collectArtifacts": False})["spec"]
    (main,), first = spec["containers"], spec["initContainers"][0]
    assert main["args"] == [f"/store/{ME.uuid}", f"/store/{ME.uuid}/outputs"]
    document = json.loads(first["env"][0]["value"])
    assert {*main["args"]} < {*document["directories"]}
    assert mounted(first)["/store"] == mounted(main)["/store"]
    assert "DAC_OVERRIDE" in first["securityContext"]["capabilities"]["add"]
    # Without a store they can only be in the Pod.
    nowhere = noted(run, read_catalog(parse_catalog_file({})), plugins={"collectArtifacts": False})[
        "spec"
    ]["containers"][0]
    assert nowhere["args"] == [ME.run_path, f"{ME.run_path}/outputs"]


def test_a_variable_comes_out_of_a_file_in_a_volume_of_the_run() -> None:
    source = {"fileKeyRef": {"volumeName": "artifacts-context", "path": "settings.env", "key": "A"}}
    (main,) = pod({"container": {"image": "a", "env": [{"name": "A", "valueFrom": source}]}})[
        "spec"
    ]["containers"]
    found = next(one for one in main["env"] if one["name"] == "A")["valueFrom"]["fileKeyRef"]
    assert found == {**source["fileKeyRef"], "volumeName": "opstrand-artifacts"}


@pytest.mark.parametrize("plugins", [{}, {"externalHost": True}, {"auth": False}])
def test_a_run_gets_the_authority_of_the_api(plugins: dict[str, Any]) -> None:
    """The authority is given only if the API has its own; a public certificate needs none."""
    compiled = operation(
        run={
            "kind": "job",
            "container": {"image": "busybox"},
            "sidecars": [{"name": "s", "image": "x"}],
        },
        plugins=plugins,
    )
    plan = compile_plan(compiled, values(compiled), ME, CATALOG.schemas)
    inside, outside = "https://inside:8000", "https://outside"
    settings = Settings(api_url=inside, external_url=outside, api_ca="-----BEGIN CERTIFICATE-----")
    spec = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=settings, catalog=CATALOG).pod[
        "spec"
    ]
    first, *_ = spec["initContainers"]
    document = json.loads(
        next(one["value"] for one in first["env"] if one["name"] == "OPSTRAND_INIT")
    )
    path = "/plx-context/.configs/ca.crt"
    assert document["trust"] == {"target": path, "text": "-----BEGIN CERTIFICATE-----"}
    assert (document["api"]["url"], document["api"]["ca"]) == (inside, path)
    (main,), (sidecar,) = (
        spec["containers"],
        [one for one in spec["initContainers"] if one["name"] == "s"],
    )
    for container in (main, sidecar):
        env = {one["name"]: one.get("value") for one in container["env"]}
        told = (
            env["POLYAXON_HOST"],
            env.get("POLYAXON_VERIFY_SSL"),
            env.get("POLYAXON_SSL_CA_CERT"),
        )
        assert told == (
            (outside, None, None) if "externalHost" in plugins else (inside, "true", path)
        )
        assert "/plx-context/.configs" in [one["mountPath"] for one in container["volumeMounts"]]


def test_a_step_with_a_path_alone_is_an_empty_folder_there() -> None:
    made = pod({"container": {"image": "a"}, "init": [{"path": "/scratch"}]})
    main = made["spec"]["containers"][0]
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounted(main)["/scratch"]]


@pytest.mark.parametrize(
    "run",
    [
        {"container": {"image": "busybox", "args": ["echo $(POLYAXON_K8S_POD_ID)"]}},
        {
            "init": [{"file": {"content": "print(environ['POLYAXON_K8S_POD_ID'])"}}],
            "container": {"image": "python", "command": ["python3", "file"]},
        },
        {"container": {"image": "busybox", "env": [{"name": "POLYAXON_K8S_POD_ID"}]}},
    ],
)
def test_a_variable_that_no_client_needs_is_there_if_the_file_names_it(run: dict[str, Any]) -> None:
    env = {one["name"]: one for one in pod(run)["spec"]["containers"][0]["env"]}
    assert env["POLYAXON_K8S_POD_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert "POLYAXON_K8S_NODE_NAME" not in env
