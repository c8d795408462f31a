"""Connections: what the catalog accepts and refuses, what an operation may name, and the catalog's
file.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.builders import ME, operation, values

from opstrand.controller.connections_file import CatalogReader
from opstrand.core.planning.connections import Catalog, read_catalog
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.connections import (
    render_env,
    render_env_from,
    render_mounts,
    render_volumes,
)
from opstrand.core.pods.init_lineage import render_lineage
from opstrand.core.pods.pod import render_pod
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.connections import KINDS, parse_catalog_file
from opstrand.spec.document import parse_document

OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "1"}


def catalog(*connections: dict[str, Any], store: dict[str, Any] | None = None) -> Catalog:
    return read_catalog(
        parse_catalog_file(
            {"connections": list(connections), **({"artifactsStore": store} if store else {})}
        )
    )


def volume(name: str, claim: str = "data") -> dict[str, Any]:
    return {
        "name": name,
        "kind": "volume_claim",
        "schema": {"volumeClaim": claim, "mountPath": f"/{name}"},
    }


def pod(run: dict[str, Any], found: Catalog) -> dict[str, Any]:
    compiled = operation(run=run)
    plan = compile_plan(compiled, values(compiled), ME, found.schemas)
    return render_pod(plan, owner=OWNER, pod_name="eval-0", settings=Settings(), catalog=found).pod


def refusal(text: str) -> list[str]:
    document = parse_document(text, source="connections.yaml")
    with pytest.raises(SpecError) as caught:
        parse_catalog_file(document.data, document=document)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in KINDS
        if kind not in ("volume_claim", "host_path", "gcs", "s3", "wasb", "registry")
    ],
)
def test_every_other_kind_needs_no_schema(kind: str) -> None:
    (found,) = catalog({"name": "c", "kind": kind, "secret": {"name": "s"}}).connections.values()
    assert render_env_from([found]) == [{"secretRef": {"name": "s"}}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "expected artifactsStore and connections"),
        ("connection: []", "unknown key 'connection'; did you mean 'connections'?"),
        ("connections: [{name: a, kind: volumeclaim}]", "did you mean 'volume_claim'?"),
        (
            "connections: [{name: a, kind: volume_claim, schema: {volumeClaim: x}}]",
            "connections[0].schema.mountPath: is required",
        ),
        (
            "connections: [{name: a, kind: host_path, schema: {hostPath: /x, mountPath: x}}]",
            "expected an absolute path to mount at",
        ),
        (
            "connections: [{name: a, kind: git}, {name: a, kind: git}]",
            "there are two connections 'a'",
        ),
        (
            "connections: [{name: a, kind: git, env: [A]}]",
            "expected {name, value} or [name, value]",
        ),
        (
            "connections: [{name: a, kind: git, secret: {nam: x}}]",
            "unknown key 'nam'; did you mean 'name'?",
        ),
        (
            "artifactsStore: {name: s, kind: git, schema: {url: https://x}}",
            "files are kept on volumes (volume_claim, host_path) and in buckets (gcs, s3, wasb)",
        ),
        (
            "artifactsStore: {name: s, kind: host_path, schema: {hostPath: /s, mountPath: /s, "
            "readOnly: true}}",
            "must be able to write",
        ),
        (
            "artifactsStore: {name: s, kind: host_path, schema: {hostPath: /s, mountPath: "
            "/s}}\nconnections: [{name: s, kind: git}]",
            "too",
        ),
        (
            "connections: [{name: a, kind: s3, schema: {bucket: gs://b}}]",
            "schema.bucket: expected s3://…, found the text 'gs://b'",
        ),
        (
            "connections: [{name: a, kind: git, schema: {flags: --depth}}]",
            "schema.flags: expected a list of texts",
        ),
        (
            "connections: [{name: a, kind: ssh, schema: {host: h, flags: --depth 1}}]",
            "schema.flags: expected a list of texts",
        ),
        (
            "connections: [{name: a, kind: volume_claim, schema: {volumeClaim: 5, mountPath: /a}}]",
            "expected the name of a claim",
        ),
        (
            "connections: [{name: a, kind: host_path, schema: {hostPath: x, mountPath: /a}}]",
            "expected an absolute path of the node",
        ),
        (
            "connections: [{name: a, kind: host_path, schema: {hostPath: /x, mountPath: "
            "/plx-context/a}}]",
            "not within /plx-context",
        ),
        (
            "connections: [{name: a, kind: aws, secret: {name: B b}}]",
            "secret.name: expected the name of an object",
        ),
        (
            "connections: [{name: a, kind: aws, env: A}]",
            "connections[0].env: expected a list of {name, value}",
        ),
        *(
            (
                f"connections: [{{name: a, kind: aws, secret: {{name: x, defaultMode: {mode}}}}}]",
                "defaultMode: expected a mode from 0 to 0777",
            )
            for mode in ('"0999"', "0999", "99999", "-1", "true", "rw")
        ),
    ],
)
def test_a_catalog_that_is_wrong_is_refused_with_its_line(text: str, words: str) -> None:
    (line,) = [line for line in refusal(text) if words in line] or [None]
    assert line is not None, refusal(text)
    assert line.startswith("connections.yaml") or text == "[]"


def test_an_unknown_connection_is_refused_with_the_nearest() -> None:
    found = catalog(volume("datasets"))
    with pytest.raises(SpecError) as caught:
        pod({"connections": ["dataset"]}, found)
    assert str(caught.value).startswith(
        "run.connections[0]: there is no connection 'dataset' (did you mean 'datasets'?"
    )
    with pytest.raises(SpecError) as caught:
        pod({"init": [{"connection": "datasetz"}]}, found)
    assert "there is no connection 'datasetz' (did you mean 'datasets'?" in str(caught.value)


def test_one_claim_is_one_volume_for_all_that_mount_it() -> None:
    found = catalog(volume("a"), volume("b"), store=volume("store"))
    rendered = pod(
        {"connections": ["a", "b"], "init": [{"connection": "a", "paths": ["x"]}]}, found
    )
    claims = [one for one in rendered["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert len(claims) == 1
    names = {one["name"] for one in rendered["spec"]["volumes"]}
    for container in (*rendered["spec"]["initContainers"], *rendered["spec"]["containers"]):
        assert {one["name"] for one in container["volumeMounts"]} <= names


def test_a_secret_is_variables_or_files_or_some_of_its_keys() -> None:
    found = catalog(
        {"name": "all", "kind": "aws", "secret": {"name": "s"}},
        {"name": "some", "kind": "aws", "secret": {"name": "s", "items": ["KEY"]}},
        {
            "name": "files",
            "kind": "aws",
            "secret": {"name": "s", "mountPath": "/keys", "items": ["KEY"], "defaultMode": "0400"},
        },
    ).connections
    assert render_env_from(found.values()) == [{"secretRef": {"name": "s"}}]
    assert render_env([found["some"]])[0] == {
        "name": "KEY",
        "valueFrom": {"secretKeyRef": {"name": "s", "key": "KEY"}},
    }
    (files,) = render_volumes([found["files"]])
    assert files["secret"] == {
        "secretName": "s",
        "items": [{"key": "KEY", "path": "KEY"}],
        "defaultMode": 0o400,
    }
    assert render_mounts([found["files"]]) == [
        {"name": files["name"], "mountPath": "/keys", "readOnly": True}
    ]


def test_the_clients_catalog_is_json_that_kubernetes_leaves_alone() -> None:
    found = catalog(
        {"name": "db", "kind": "postgres", "schema": {"url": "pg://$(HOST)"}}
    ).connections
    (variable,) = render_env([*found.values()])
    assert variable["name"] == "POLYAXON_CONNECTIONS_CATALOG"
    assert json.loads(variable["value"].replace("$$", "$"))["connections"][0]["schema"] == {
        "url": "pg://$(HOST)"
    }


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            {"connection": "bucket"},
            "run.init[0].container: a step with the connection 'bucket' of kind s3 needs a "
            "container that uses it",
        ),
        (
            {"connection": "bucket", "paths": ["x"]},
            "run.init[0].connection: this version copies from volumes, and 'bucket' is of kind s3",
        ),
        ({"connection": "db"}, "needs a container that uses it"),
        (
            {"connection": "db", "git": {"revision": "v1"}},
            "git needs a connection of kind git or ssh, 'db' is postgres",
        ),
        ({"connection": "code"}, "git needs a url"),
        ({"paths": ["x"]}, "this installation has none: name a connection"),
        ({"connection": "a", "paths": ["../x"]}, "a path must stay within its store"),
        (
            {"connection": "a", "artifacts": {"files": [["a", "b", "c"]]}},
            "expected a path or [from, to]",
        ),
        (
            {"tensorboard": {"port": 1}},
            "init steps of the kind 'tensorboard' are not run by this version",
        ),
    ],
)
def test_a_step_that_cannot_be_fetched(step: dict[str, Any], words: str) -> None:
    bucket = {"name": "bucket", "kind": "s3", "schema": {"bucket": "s3://b"}}
    found = catalog(
        volume("a"), bucket, {"name": "db", "kind": "postgres"}, {"name": "code", "kind": "git"}
    )
    with pytest.raises(SpecError) as caught:
        pod({"init": [step]}, found)
    assert words in str(caught.value)


def write(path: Path, *names: str) -> None:
    path.write_text(
        yaml.safe_dump({"connections": [{"name": name, "kind": "git"} for name in names]})
    )


def test_the_file_is_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "connections.yaml"
    reader = CatalogReader(str(path))
    reader.start()
    assert reader.read().connections == {}, "a file that is not there yet is an empty catalog"

    def again() -> list[str]:
        reader._looked = -1e9
        return sorted(reader.read().connections)

    write(path, "a")
    assert again() == ["a"]
    path.write_text("connections: [{name: b}]")
    with caplog.at_level(logging.ERROR):
        assert again() == ["a"]
        assert again() == ["a"]
    assert len(caplog.records) == 1
    assert "connections[0].kind: is required" in caplog.text
    write(path, "b", "c")
    os.utime(path, (1, 1))
    assert again() == ["b", "c"]


def test_a_broken_file_at_the_start_stops_the_process(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("connections: 5")
    with pytest.raises(SpecError, match=r"connections\.yaml:1:1: connections: expected a list"):
        CatalogReader(str(path)).start()


def test_what_init_steps_copy_is_lineage() -> None:
    found = catalog(volume("a"), store=volume("store", "other"))
    steps = [
        {"file": {"filename": "conf/run.py", "content": "x"}},
        {"dockerfile": {"image": "python:3.12"}},
        {"paths": ["b" * 32 + "/outputs/model"]},
        {"connection": "a", "artifacts": {"dirs": ["old/model"]}},
    ]
    compiled = operation(run={"init": steps})
    plan = compile_plan(compiled, values(compiled), ME, found.schemas)
    lineage = render_lineage(plan)
    assert [(one["name"], one["kind"], one.get("path")) for one in lineage] == [
        ("run-py", "file", "outputs/run.py"),
        ("Dockerfile", "dockerfile", "outputs/Dockerfile"),
        ("model", "artifact", None),
        ("old-model", "artifact", None),
    ]
    assert lineage[3]["summary"] == {"path": "old/model", "connection": "a"}
    assert all(one["isInput"] for one in lineage)


def test_long_documents_of_several_containers_travel_in_one_config_map() -> None:
    own = {"resources": {"limits": {"memory": "1Gi"}}}
    long = "x" * 100_000
    steps = [
        {"file": {"filename": "a", "content": long}},
        {"file": {"filename": "b", "content": long}, "container": own},
    ]
    compiled = operation(run={"init": steps})
    plan = compile_plan(compiled, values(compiled), ME, {})
    rendered = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=Settings())
    assert rendered.config_map is not None
    assert list(rendered.config_map["binaryData"]) == ["init.json.gz", "init-2.json.gz"]
    for container, file in zip(
        rendered.pod["spec"]["initContainers"], rendered.config_map["binaryData"], strict=True
    ):
        document = gzip.decompress(base64.b64decode(rendered.config_map["binaryData"][file]))
        assert container["env"] == [
            {"name": "OPSTRAND_INIT_FILE", "value": f"/opstrand/init/{file}"},
            {"name": "OPSTRAND_INIT_SHA256", "value": hashlib.sha256(document).hexdigest()},
        ]
        assert {
            "name": "opstrand-init",
            "mountPath": "/opstrand/init",
            "readOnly": True,
        } in container["volumeMounts"]


def copied(run: dict[str, Any], found: Catalog) -> list[tuple[Any, Any, Any]]:
    """Return the files, folders and paths of each copying step."""
    (variable,) = pod(run, found)["spec"]["initContainers"][0]["env"]
    steps = json.loads(variable["value"].replace("$$", "$"))["steps"]
    return [
        (step["files"], step["dirs"], step["paths"]) for step in steps if step["kind"] == "copy"
    ]


@pytest.mark.parametrize(
    "step", [{"artifacts": {}}, {"artifacts": {"files": [], "dirs": []}}, {"paths": []}]
)
@pytest.mark.parametrize("connection", [{}, {"connection": "a"}])
def test_an_empty_list_copies_nothing_of_a_store(
    step: dict[str, Any], connection: dict[str, str]
) -> None:
    """Such a list comes from a join that found no run; before, every file of every run was
    copied.
    """
    assert (
        copied({"init": [{**step, **connection}]}, catalog(volume("a"), store=volume("store")))
        == []
    )


def test_a_connection_alone_copies_all_of_it() -> None:
    assert copied({"init": [{"connection": "a"}]}, catalog(volume("a"))) == [([], [["", ""]], [])]
