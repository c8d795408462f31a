"""What manifests/ promises beyond its acceptance by an API server: bounded folders, and policies
for our own Pods.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstrand.api.aggregated import API_SERVICE
from opstrand.api.auth import front_proxy
from opstrand.api.certificates import SECRET
from opstrand.core.phase import Phase
from opstrand.settings import Settings
from opstrand.spec.crd.write import component_crd, operation_crd

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def load(folder: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((MANIFESTS / folder).glob("*.yaml")):
        found += [one for one in yaml.safe_load_all(path.read_text()) if one]
    return found


BASE = load("base")
TEMPLATES = [one["spec"]["template"] for one in BASE if one["kind"] == "Deployment"]


def selected(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [one for one in TEMPLATES if labels.items() <= one["metadata"]["labels"].items()]


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda template: template["spec"]["serviceAccountName"]
)
def test_what_a_deployment_writes_is_bounded(template: dict[str, Any]) -> None:
    folders = [volume for volume in template["spec"]["volumes"] if "emptyDir" in volume]
    assert folders
    assert all(volume["emptyDir"].get("sizeLimit") for volume in folders)


def test_every_manifest_is_installed() -> None:
    listed = yaml.safe_load((MANIFESTS / "base/kustomization.yaml").read_text())["resources"]
    assert {path.name for path in (MANIFESTS / "base").glob("*.yaml")} == {
        *listed,
        "kustomization.yaml",
    }


def test_budgets_and_policies_are_about_pods_that_there_are() -> None:
    budgets = [one for one in BASE if one["kind"] == "PodDisruptionBudget"]
    policies = [one for one in BASE if one["kind"] == "NetworkPolicy"]
    assert budgets
    for one in budgets:
        assert len(selected(one["spec"]["selector"]["matchLabels"])) == 1
        assert one["spec"].get("maxUnavailable") == 1, (
            "minAvailable would hold up every drain of the one replica's node"
        )
    for one in policies:
        labels = one["spec"]["podSelector"].get("matchLabels", {})
        assert selected(labels)
        for rule in one["spec"].get("ingress", []):
            (template,) = selected(labels)
            ports = {
                port["name"]
                for container in template["spec"]["containers"]
                for port in container["ports"]
            }
            assert {port["port"] for port in rule["ports"]} <= ports


KUBECTL = MANIFESTS.parent / ".venv/bin/kubectl"


Made = dict[tuple[str, str], dict[str, Any]]
NAMES = ("opstrand-api", "opstrand-operator")
TOKEN = "/var/run/secrets/opstrand/token"


def build(folder: Path, *components: str) -> Made:
    for name in ("manifests", "crds"):
        shutil.copytree(MANIFESTS.parent / name, folder / name)
    with (folder / "manifests/kustomization.yaml").open("a") as file:
        file.write(f"components: [{', '.join(components)}]\n")
    done = subprocess.run(
        [KUBECTL, "kustomize", folder / "manifests"], capture_output=True, text=True, check=True
    )
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}


def container_of(made: Made, name: str) -> dict[str, Any]:
    (container,) = made["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def schemes(made: Made) -> set[str]:
    return {
        container_of(made, NAMES[0])[f"{probe}Probe"]["httpGet"]["scheme"]
        for probe in ("startup", "liveness", "readiness")
    }


def test_the_api_speaks_tls_as_it_is_installed(tmp_path: Path) -> None:
    """Our processes read the mounted files, probes speak TLS, and the operator gets no key."""
    made = build(tmp_path)
    assert made["ConfigMap", "opstrand"]["data"]["OPSTRAND_API_URL"].startswith(
        "https://opstrand-api.opstrand:"
    )
    assert schemes(made) == {"HTTPS"}
    known = {f"OPSTRAND_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    mounted, told = {}, {}
    for name in NAMES:
        container = container_of(made, name)
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "tls"]
        (mounted[name],) = [
            one
            for one in made["Deployment", name]["spec"]["template"]["spec"]["volumes"]
            if one["name"] == "tls"
        ]
        env = {one["name"]: one["value"] for one in container["env"]}
        assert set(env) <= known
        told[name] = {
            key: value.removeprefix(mount["mountPath"])
            for key, value in env.items()
            if "_API_" in key
        }
    published, own = (
        told[NAMES[0]].pop("OPSTRAND_API_TLS_PUBLISHED"),
        told[NAMES[0]].pop("OPSTRAND_API_TLS_SECRET"),
    )
    assert told == {
        NAMES[0]: {"OPSTRAND_API_TLS_CERT": "/tls.crt", "OPSTRAND_API_TLS_KEY": "/tls.key"},
        NAMES[1]: {"OPSTRAND_API_CA": "/ca.crt", "OPSTRAND_API_TOKEN": TOKEN},
    }
    assert mounted[NAMES[0]]["secret"] == {
        "secretName": SECRET,
        "defaultMode": 0o444,
        "optional": True,
    }
    assert mounted[NAMES[1]]["configMap"] == {
        "name": published,
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
    }
    # Applying these again must not empty what the API wrote; and the API may write no others.
    assert [
        made[kind, name].get("data") for kind, name in (("Secret", own), ("ConfigMap", published))
    ] == [None, None]
    granted = [
        (rule["resources"], rule["resourceNames"], set(rule["verbs"]))
        for rule in made["Role", "opstrand-api-tls"]["rules"]
    ]
    assert granted == [
        (["secrets"], [own], {"get", "patch"}),
        (["configmaps"], [published], {"get", "patch"}),
    ]


def test_the_component_for_plain_http_leaves_nothing_of_tls(tmp_path: Path) -> None:
    made = build(tmp_path, "plain-http")
    assert made["ConfigMap", "opstrand"]["data"]["OPSTRAND_API_URL"].startswith(
        "http://opstrand-api.opstrand:"
    )
    assert schemes(made) == {"HTTP"}
    assert not [
        word
        for word in ("tls", "ca.crt", "TLS", "API_CA")
        for name in NAMES
        if word in yaml.safe_dump(made["Deployment", name])
    ]
    assert not [
        key
        for key in made
        if key[0] in ("Secret", "Role", "RoleBinding") or key[1] == "opstrand-api-ca"
    ]
    assert {one["name"] for one in container_of(made, NAMES[1])["env"]} == {
        "OPSTRAND_CRASH_RECORD",
        "OPSTRAND_API_TOKEN",
    }


def test_the_operator_asks_the_api_with_a_token_for_it_alone(tmp_path: Path) -> None:
    for kept in ((), ("postgresql",)):
        check_token(build(tmp_path / "-".join(("all", *kept)), *kept))
    without = build(tmp_path / "none", "without-data")
    assert "token" not in yaml.safe_dump(without["Deployment", NAMES[1]]).lower()


def check_token(made: Made) -> None:
    (volume,) = [one for one in volumes_of(made, NAMES[1]) if "projected" in one]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == Settings().audience
    container = container_of(made, NAMES[1])
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
    assert f"{mount['mountPath']}/{source['serviceAccountToken']['path']}" == TOKEN
    assert {"name": "OPSTRAND_API_TOKEN", "value": TOKEN} in container["env"]


def volumes_of(made: Made, name: str) -> list[dict[str, Any]]:
    return list(made["Deployment", name]["spec"]["template"]["spec"]["volumes"])


def test_the_component_for_the_aggregation_layer_opens_one_port(tmp_path: Path) -> None:
    """Also where the other port has no TLS. The API may write two objects by name, and read one."""
    made = build(tmp_path, "plain-http", "aggregated")
    container, (service,) = (
        container_of(made, NAMES[0]),
        [one for key, one in made.items() if key == ("Service", NAMES[0])],
    )
    env = {one["name"]: one["value"] for one in container["env"]}
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    api_service = made["APIService", API_SERVICE]["spec"]
    assert env["OPSTRAND_API_AGGREGATED_PORT"] == str(ports["aggregated"])
    assert {one["port"]: one["targetPort"] for one in service["spec"]["ports"]} == {
        ports["api"]: "api",
        api_service["service"]["port"]: "aggregated",
    }
    assert "caBundle" not in api_service
    (rule,) = made["NetworkPolicy", NAMES[0]]["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == ["api", "aggregated"]
    granted = [
        (rule["resources"], rule["resourceNames"], rule["verbs"])
        for kind in ("ClusterRole", "Role")
        for rule in made[kind, "opstrand-api-aggregated"]["rules"]
    ]
    assert granted == [
        (["apiservices"], [API_SERVICE], ["get", "patch"]),
        (["secrets"], [env["OPSTRAND_API_AGGREGATED_SECRET"]], ["get", "patch"]),
    ]
    secret = made["Secret", env["OPSTRAND_API_AGGREGATED_SECRET"]]
    assert "data" not in secret
    reader = load("aggregated")[-1]
    assert (reader["metadata"]["namespace"], reader["roleRef"]["name"]) == (
        front_proxy.NAMESPACE,
        f"{front_proxy.CONFIG_MAP}-reader",
    )


def store_of(made: Made) -> dict[str, Any]:
    """Return the variable that says where runs are stored; empty if nothing says so."""
    env = {one["name"]: one for one in container_of(made, NAMES[0])["env"]}
    return env.get("OPSTRAND_STORE_URL", {})


def test_runs_are_stored_on_the_volume_of_the_one_replica(tmp_path: Path) -> None:
    made = build(tmp_path)
    spec = made["Deployment", NAMES[0]]["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxSurge"]) == (1, 0)
    (mount,) = [
        one for one in container_of(made, NAMES[0])["volumeMounts"] if one["name"] == "data"
    ]
    assert store_of(made)["value"].startswith(f"sqlite://{mount['mountPath']}/")


def test_without_a_volume_there_is_no_store(tmp_path: Path) -> None:
    assert store_of(build(tmp_path, "without-data")) == {}


def test_with_postgresql_there_are_two_replicas_that_share_no_volume(tmp_path: Path) -> None:
    made = build(tmp_path, "postgresql")
    spec = made["Deployment", NAMES[0]]["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxSurge"]) == (2, 1)
    secret = {"name": "opstrand-store", "key": "url"}
    assert store_of(made)["valueFrom"] == {"secretKeyRef": secret}
    assert not [key for key in made if key[0] == "PersistentVolumeClaim"]


def test_what_is_offered_for_a_namespace_of_runs_lets_them_reach_the_api() -> None:
    (policy,) = [one for one in load("policies") if one["kind"] == "NetworkPolicy"]
    targets = [
        peer["podSelector"]["matchLabels"]
        for rule in policy["spec"]["egress"]
        for peer in rule.get("to", [])
    ]
    assert [len(selected(labels)) for labels in targets] == [1]


def test_an_image_can_be_given_by_its_digest_and_runs_get_the_same(tmp_path: Path) -> None:
    """The digests cannot be known here: an image that is built from BASE has another one on every
    machine.
    """
    for folder in ("crds", "manifests"):
        shutil.copytree(MANIFESTS.parent / folder, tmp_path / folder)
    digest = "sha256:" + "0" * 64
    top = tmp_path / "manifests/kustomization.yaml"
    image = {"name": "localhost/opstrand", "newName": "registry.example/opstrand", "digest": digest}
    top.write_text(yaml.safe_dump({**yaml.safe_load(top.read_text()), "images": [image]}))
    command = [str(KUBECTL), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(top.parent)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = [one for one in yaml.safe_load_all(made) if one]
    containers = [
        container
        for one in documents
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]
    wanted = f"registry.example/opstrand@{digest}"
    assert {container["image"] for container in containers} == {wanted}
    assert [
        one["data"]["OPSTRAND_IMAGE"]
        for one in documents
        if one["kind"] == "ConfigMap" and "OPSTRAND_IMAGE" in (one.get("data") or {})
    ] == [wanted]


def test_the_base_image_of_a_build_can_be_named_by_its_digest() -> None:
    lines = (MANIFESTS.parent / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [
        "FROM ${BASE} AS dependencies",
        "FROM ${BASE}",
    ]
    assert [line for line in lines if line.startswith("ARG BASE")] != []


def test_the_policy_knows_the_keys_of_the_crds() -> None:
    (policy,) = [one for one in load("policies") if one["kind"] == "ValidatingAdmissionPolicy"]
    (known,) = [one for one in policy["spec"]["variables"] if one["name"] == "known"]
    lists = [re.findall(r"'(\w+)'", part) for part in known["expression"].split("[")[1:]]
    assert lists == [sorted(_keys_of(crd())) for crd in (operation_crd, component_crd)]


def _keys_of(crd: dict[str, Any]) -> list[str]:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(schema["properties"]["spec"]["properties"])


def test_argo_cd_knows_every_phase() -> None:
    text = yaml.safe_load((MANIFESTS / "gitops/argocd-health.yaml").read_text())
    (script,) = text["data"].values()
    meanings = dict(re.findall(r'^  (\w+) = "(\w+)",$', script, re.MULTILINE))
    assert set(meanings) == {phase.value for phase in Phase}
    assert {phase for phase, status in meanings.items() if status == "Degraded"} == {
        "Failed",
        "UpstreamFailed",
    }


FOLDER_OF_AN_APPLICATION = {
    "kustomization.yaml": """
namePrefix: test-
images: [{name: train, newName: registry/train, newTag: v2}]
configurations: [kustomize.yaml]
resources: [runs.yaml]
""",
    "runs.yaml": """
apiVersion: opstrand.dev/v1
kind: Component
metadata: {name: train}
spec:
  run: {kind: job, init: [{container: {image: train}}], container: {image: train}}
---
apiVersion: opstrand.dev/v1
kind: Operation
metadata: {name: nightly}
spec: {hubRef: train}
---
apiVersion: opstrand.dev/v1
kind: Operation
metadata: {name: inline}
spec: {component: {run: {kind: job, sidecars: [{image: train}], container: {image: train}}}}
""",
}


def test_kustomize_renames_components_and_images_where_runs_name_them(tmp_path: Path) -> None:
    for name, text in FOLDER_OF_AN_APPLICATION.items():
        (tmp_path / name).write_text(text)
    shutil.copy(MANIFESTS / "gitops/kustomize.yaml", tmp_path)
    done = subprocess.run(
        [KUBECTL, "kustomize", tmp_path], capture_output=True, text=True, check=True
    )
    made = {one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(done.stdout)}
    assert made["test-nightly"] == {"hubRef": "test-train"}
    run = made["test-train"]["run"]
    inline = made["test-inline"]["component"]["run"]
    images = [run["container"], run["init"][0]["container"], *inline["sidecars"]]
    assert [one["image"] for one in [*images, inline["container"]]] == ["registry/train:v2"] * 4


def test_the_api_keeps_files_on_its_volume_and_the_operator_knows(tmp_path: Path) -> None:
    made = build(tmp_path)
    folder = made["ConfigMap", "opstrand"]["data"]["OPSTRAND_DATA"]
    mounts = container_of(made, NAMES[0])["volumeMounts"]
    (volume,) = [one["name"] for one in mounts if one["mountPath"] == folder]
    volumes = made["Deployment", NAMES[0]]["spec"]["template"]["spec"]["volumes"]
    (claim,) = [one["persistentVolumeClaim"] for one in volumes if one["name"] == volume]
    assert ("PersistentVolumeClaim", claim["claimName"]) in made
    # Two processes must not use the volume at the same time.
    assert made["Deployment", NAMES[0]]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_without_data_there_is_no_volume_and_no_collector(tmp_path: Path) -> None:
    made = build(tmp_path, "without-data")
    assert "OPSTRAND_DATA" not in made["ConfigMap", "opstrand"]["data"]
    assert not [kind for kind, _ in made if kind == "PersistentVolumeClaim"]
    volumes = made["Deployment", NAMES[0]]["spec"]["template"]["spec"]["volumes"]
    assert {one["name"] for one in volumes} == {
        one["name"] for one in container_of(made, NAMES[0])["volumeMounts"]
    }
