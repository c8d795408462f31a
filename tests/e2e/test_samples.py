"""Every file of manifests/samples runs and prints what its comments say; and every view reports the
same lineage.

`# prints: LINE` above an Operation is a line of its log, in which `<uuid of NAME>` stands for the
uuid of the run NAME; an Operation without such a comment prints nothing. A service does not end by
itself: it must run, and its output is not compared. Of a pipeline, it is a line of one of its runs,
as the API shows it, and the lines of different runs may come in any order.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import yaml

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES, OPERATIONS
from opstrand.types import Manifest
from tests.e2e.conftest import (
    CHECKOUT,
    describe,
    in_phase,
    is_final,
    kubectl,
    main_log,
    make_namespace,
    open_http,
    opstrand,
    succeed,
    wait_for,
)

FOLDER = CHECKOUT / "manifests" / "samples"
#: The value forms of the documentation, one file each.
FORMS = sorted(path.stem for path in (FOLDER / "refs").glob("*.yaml") if path.stem != "upstream")


@dataclass(frozen=True)
class Sample:
    manifest: Manifest
    prints: tuple[str, ...]


def read_samples() -> dict[str, Sample]:
    """Return the samples by name: Operations with what they print, and the other objects."""
    found = {}
    for path in sorted(FOLDER.rglob("*.yaml")):
        for text in path.read_text().split("\n---\n"):
            manifest = yaml.safe_load(text)
            prints = tuple(re.findall(r"^# prints: (.*)$", text, re.MULTILINE))
            found[manifest["metadata"]["name"]] = Sample(manifest, prints)
    return found


_RUNS = {
    name: sample
    for name, sample in read_samples().items()
    if sample.manifest["kind"] == "Operation"
}
SERVICES = [name for name, one in _RUNS.items() if "kind: service" in yaml.safe_dump(one.manifest)]
PIPELINES = [
    name
    for name, one in _RUNS.items()
    if one.manifest["spec"].get("component", {}).get("run", {}).get("kind") == "dag"
]
#: They never end.
SCHEDULES = [name for name, one in _RUNS.items() if "schedule" in one.manifest["spec"]]
APART = (*SERVICES, *PIPELINES, *SCHEDULES)
SAMPLES = {name: one for name, one in _RUNS.items() if name not in APART}


@dataclass(frozen=True)
class Ran:
    """A namespace in which all of them have ended, and the bodies by name."""

    namespace: str
    bodies: Mapping[str, Manifest]

    def uuid(self, name: str) -> str:
        return str(self.bodies[name]["status"]["uuid"])

    def expected(self, name: str) -> str:
        lines = (
            re.sub(r"<uuid of ([^>]+)>", lambda found: self.uuid(found[1]), line)
            for line in _RUNS[name].prints
        )
        return "".join(f"{line}\n" for line in lines)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def ran(kube: KubeApi) -> AsyncIterator[Ran]:
    namespace = f"e2e-samples-{int(time.time()) % 100000}"
    await make_namespace(kube, namespace)
    kubectl("-n", namespace, "apply", "-R", "-f", str(FOLDER))
    uid = (await kube.get(OPERATIONS, namespace, "upstream1"))["metadata"]["uid"]
    kubectl(
        "-n",
        namespace,
        "create",
        "-f",
        "-",
        stdin=yaml.safe_dump_all(by_uuid(form, uid) for form in FORMS),
    )
    await approve(kube, namespace)
    names = [*SAMPLES, *PIPELINES, *(f"by-uuid-{form}" for form in FORMS)]
    bodies = {name: await succeed(kube, namespace, name, 150) for name in names}
    bodies |= {
        name: await wait_for(kube, namespace, name, in_phase("Running"))
        for name in (*SERVICES, *SCHEDULES)
    }
    yield Ran(namespace, bodies)
    await kube.delete(NAMESPACES, None, namespace)


def by_uuid(form: str, uid: str) -> Manifest:
    """Ask the same run the same by `runs.` and its uuid, as `kubectl` shows it."""
    manifest = SAMPLES[f"ref-{form}"].manifest
    asked = {
        **manifest["spec"]["params"]["asked"],
        "ref": f"runs.{uid.upper() if form == 'io' else uid}",
    }
    return {
        **manifest,
        "metadata": {"name": f"by-uuid-{form}"},
        "spec": {**manifest["spec"], "params": {"asked": asked}},
    }


async def approve(kube: KubeApi, namespace: str) -> None:
    """Approve the run that waits for it, once every run that it could find is over."""
    for name in ("trial-1", "trial-2"):
        await wait_for(kube, namespace, name, is_final)
    waiting = [
        name
        for name, sample in SAMPLES.items()
        if sample.manifest["spec"].get("isApproved") is False
    ]
    for name in waiting:
        done = await asyncio.to_thread(opstrand, "approve", name, "-p", namespace)
        assert done.returncode == 0, done.stderr


async def test_the_readmes_five_minutes(namespace: str) -> None:
    """Run what the page shows, exactly; only the namespace is added, which a user's context has."""
    readme = (CHECKOUT / "README.md").read_text()
    (manifests,) = re.findall(r"```yaml\n(# train.yaml.*?)```", readme, re.DOTALL)
    (typed,) = re.findall(r"```console\n(\$ kubectl apply -f train.yaml.*?)```", readme, re.DOTALL)
    said = ""
    for line in typed.splitlines():
        program, *words = shlex.split(line.removeprefix("$ "), comments=True)
        stdin = manifests if words[:1] == ["apply"] else None
        words = ["-" if word == "train.yaml" else word for word in words]
        if program == "kubectl":
            said += (await asyncio.to_thread(kubectl, "-n", namespace, *words, stdin=stdin)).stdout
        else:
            done = await asyncio.to_thread(opstrand, *words, "-p", namespace)
            assert done.returncode == 0, (line, done.stderr)
            said += done.stdout
    assert "operation.opstrand.dev/train condition met" in said
    assert re.search(r"^loss +0.25 +ref +ops.train outputs.loss", said, re.MULTILINE), said
    assert "`<- train (Succeeded)  loss = outputs.loss" in said
    assert said.endswith("the loss is 0.25\n"), said


async def test_the_examples_run_in_a_cluster_too(namespace: str) -> None:
    """The README shows what they print without a cluster."""
    examples = CHECKOUT / "docs" / "examples"
    arguments = ("-l", "-p", namespace)
    trained = await asyncio.to_thread(
        opstrand,
        "run",
        "-f",
        str(examples / "train.yaml"),
        "--name",
        "train",
        "-P",
        "rate=0.5",
        *arguments,
    )
    assert (trained.returncode, trained.stdout) == (
        0,
        "step 0: loss 0.500\nstep 1: loss 0.250\nstep 2: loss 0.125\n",
    ), trained.stderr
    reported = await asyncio.to_thread(
        opstrand, "run", "-f", str(examples / "report.yaml"), *arguments
    )
    assert (reported.returncode, reported.stdout) == (0, "the loss is 0.125\n"), reported.stderr


NAMED = ("globals", "io", "inputs", "outputs", "artifacts", "artifacts.base", "artifacts.outputs")
ONE_OF = ("globals.*", "inputs.*", "outputs.*", "artifacts.*")


def form_of(value: Any) -> str:
    if isinstance(value, dict):
        return "files"
    return value if value in NAMED else f"{value.partition('.')[0]}.*"


def test_every_value_form_of_the_document_has_a_sample() -> None:
    asked = [SAMPLES[f"ref-{form}"].manifest["spec"]["params"]["asked"]["value"] for form in FORMS]
    assert sorted(map(form_of, asked)) == sorted([*NAMED, *ONE_OF, "files"])


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_sample_prints_what_it_says(ran: Ran, name: str) -> None:
    body = ran.bodies[name]
    assert main_log(ran.namespace, body) == ran.expected(name), describe(ran.namespace, body)


@pytest.mark.parametrize("name", PIPELINES)
async def test_the_runs_of_a_pipeline_print_what_it_says(ran: Ran, api_url: str, name: str) -> None:
    token = kubectl("-n", ran.namespace, "create", "token", viewer(ran.namespace)).stdout.strip()
    url = f"{api_url}/streams/v1/{ran.namespace}/default/{ran.namespace}/runs/{ran.uuid(name)}/logs"
    async with open_http(token) as http, http.get(url) as answer:
        found = await answer.json()
    assert answer.status == 200, found
    lines = [line["value"] for line in found["logs"]]
    expected = ran.expected(name).splitlines()
    assert sorted(lines) == sorted(expected), describe(ran.namespace, ran.bodies[name])


async def test_the_report_of_the_pipeline_is_an_artifact_of_its_last_run(ran: Ran) -> None:
    uuid = ran.uuid("learning-rate")
    asked = ("-l", f"opstrand.dev/pipeline={uuid},opstrand.dev/op=pick", "-o", "json")
    (pick,) = json.loads(kubectl("-n", ran.namespace, "get", "operations", *asked).stdout)["items"]
    status = pick["status"]
    assert (status["outputs"]["rate"], status["outputs"]["loss"]) == (1, 0.288)
    assert {item["name"]: item["kind"] for item in status["artifacts"]}["report"] == "file"
    assert {edge["kind"] for edge in status["upstream"]} == {"dag", "join"}
    assert status["outputs"]["run"] in {edge["uuid"] for edge in status["upstream"]}


async def test_a_run_named_by_its_uuid_gives_the_same(ran: Ran) -> None:
    printed = {form: main_log(ran.namespace, ran.bodies[f"by-uuid-{form}"]) for form in FORMS}
    assert printed == {form: ran.expected(f"ref-{form}") for form in FORMS}


async def test_every_value_is_explained(ran: Ran) -> None:
    asked = [*(f"ref-{form}" for form in FORMS), "by-uuid-io"]
    done = await asyncio.gather(
        *(
            asyncio.to_thread(opstrand, "get", name, "-p", ran.namespace, "--explain", "-o", "json")
            for name in asked
        )
    )
    for name, explained in zip(asked, done, strict=True):
        assert explained.returncode == 0, explained.stderr
        (value,) = json.loads(explained.stdout)
        body = ran.bodies[name]
        param = body["spec"]["params"]["asked"]
        assert (value["value"], value["source"], value["run"]) == (
            body["status"]["inputs"]["asked"],
            "ref",
            ran.uuid("upstream1"),
        )
        assert value["detail"].startswith(
            f"{'ops.upstream1' if name.startswith('ref-') else 'runs.' + ran.uuid('upstream1')} "
        ), value
        assert isinstance(param["value"], dict) or value["detail"].endswith(f" {param['value']}"), (
            value
        )
    (rates, runs) = json.loads(
        (
            await asyncio.to_thread(
                opstrand, "get", "compare", "-p", ran.namespace, "--explain", "-o", "json"
            )
        ).stdout
    )
    trials = [ran.uuid("trial-2"), ran.uuid("trial-1")]
    assert [(one["value"], one["source"], one["runs"]) for one in (rates, runs)] == [
        ([0.01, 0.1], "join", trials),
        (trials, "join", trials),
    ]


async def test_lineage_is_reported_alike_by_the_status_the_command_line_and_the_api(
    ran: Ran, api_url: str
) -> None:
    expected = {
        (
            edge["uuid"],
            str(body["status"]["uuid"]),
            edge["kind"],
            json.dumps(edge["values"], sort_keys=True),
        )
        for body in ran.bodies.values()
        for edge in body["status"]["upstream"]
    }
    kinds = {
        (name, edge[2]) for edge in expected for name in ran.bodies if ran.uuid(name) == edge[1]
    }
    assert {("print-loss", "run"), ("compare", "join"), ("ref-io", "run")} <= kinds
    sources = {edge[0] for edge in expected}
    assert sources == {
        ran.uuid(name) for name in ("upstream1", "train", "trial-1", "trial-2", "web")
    }
    assert await lineage_by_command(ran, sources) == expected
    assert await lineage_by_api(ran, api_url, "downstream", sources) == expected
    assert (
        await lineage_by_api(ran, api_url, "upstream", {edge[1] for edge in expected}) == expected
    )


async def lineage_by_command(ran: Ran, sources: set[str]) -> set[tuple[str, ...]]:
    arguments = ("-p", ran.namespace, "--down", "-o", "json")
    done = await asyncio.gather(
        *(asyncio.to_thread(opstrand, "lineage", uuid, *arguments) for uuid in sorted(sources))
    )
    edges = [edge for one in done for edge in json.loads(one.stdout)["edges"]]
    return {
        (
            edge["upstream"],
            edge["downstream"],
            edge["kind"],
            json.dumps(edge["values"], sort_keys=True),
        )
        for edge in edges
    }


async def lineage_by_api(
    ran: Ran, api_url: str, side: str, uuids: set[str]
) -> set[tuple[str, ...]]:
    """Read the lineage as a user who may only view."""
    token = kubectl("-n", ran.namespace, "create", "token", viewer(ran.namespace)).stdout.strip()
    found = set()
    async with open_http(token) as http:
        for uuid in uuids:
            async with http.get(
                f"{api_url}/api/v1/default/{ran.namespace}/runs/{uuid}/lineage/{side}?limit=100"
            ) as answer:
                page = await answer.json()
                assert (answer.status, page["count"]) == (200, len(page["results"])), page
            for edge in page["results"]:
                ends = (
                    (edge[side]["uuid"], uuid) if side == "upstream" else (uuid, edge[side]["uuid"])
                )
                found.add((*ends, edge["kind"], json.dumps(edge["values"], sort_keys=True)))
    return found


def viewer(namespace: str) -> str:
    name = "viewer"
    kubectl("-n", namespace, "create", "serviceaccount", name, check=False)
    binding = (
        "create",
        "rolebinding",
        name,
        "--clusterrole=view",
        f"--serviceaccount={namespace}:{name}",
    )
    kubectl("-n", namespace, *binding, check=False)
    return name
