"""Every cause of trouble with a job, provoked for real and reported: in the status, in kubectl's
line, by `opstrand get`.

Causes that need a node's action are in `test_nodes`, those that need a person's are in
`test_trouble`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from opstrand.errors import Known, advise
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.e2e.conftest import describe, kubectl, operation, opstrand, wait_for

PLAIN = "localhost/python-base:1"
GREEDY = ["python3", "-c", "x = bytearray(10**9)"]
SMALL = {"resources": {"limits": {"memory": "40Mi"}}}


#: On a busy node containerd drops what a program prints right before its end: a program whose
#: output is checked waits a little.
PAUSE = "sleep 4"


@dataclass(frozen=True)
class Cause:
    """What is run, and its outcome; the whole message must match the pattern `says`."""

    reason: str
    says: str
    component: dict[str, Any]
    phase: str = "Failed"
    fields: dict[str, Any] = field(default_factory=dict)


def job(*command: str, run: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    return {
        "run": {
            "kind": "job",
            "container": {"image": PLAIN, "command": list(command), **container},
            **(run or {}),
        }
    }


def init(*steps: dict[str, Any], **run: Any) -> dict[str, Any]:
    return job("true", run={"init": list(steps), **run})


def step(name: str, *command: str, **fields: Any) -> dict[str, Any]:
    return {"container": {"name": name, "image": PLAIN, "command": list(command), **fields}}


def variable(**source: Any) -> dict[str, Any]:
    return job("true", env=[{"name": "X", "valueFrom": source}])


def volume(**source: Any) -> dict[str, Any]:
    return job(
        "true",
        run={"volumes": [{"name": "data", **source}]},
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )


def file(content: str, **fields: Any) -> dict[str, Any]:
    return {"file": {"filename": "a", "content": content, **fields}}


HANGS = "Starting"
CAUSES = {
    # -- the image
    "no-such-image": Cause(
        "ImagePullFailed",
        r"container 'main' \(image 'nope/nope'\): .*nope/nope.*",
        job("true", image="nope/nope"),
        HANGS,
    ),
    "nonsense-image": Cause(
        "InvalidSpec",
        r"run\.container\.image: expected \[HOST.*found .*'No!'.*",
        job("true", image="No!"),
    ),
    "without-image": Cause(
        "InvalidSpec",
        r"run\.container\.image: a container needs an image",
        {"run": {"kind": "job", "container": {}}},
    ),
    # -- limits and room
    "too-large": Cause(
        "Unschedulable",
        r"asks for cpu: 640 \(main\); asks for gpu\.test/card: 2 \(main\); "
        r"0/\d+ nodes are available: .*Insufficient cpu.*",
        job("true", resources={"limits": {"cpu": 640, "gpu.test/card": 2}}),
        HANGS,
    ),
    # -- objects that are named and do not exist
    "no-secret": Cause(
        "ContainerConfigError",
        r'.*secret "absent" not found',
        job("true", envFrom=[{"secretRef": {"name": "absent"}}]),
        HANGS,
    ),
    "no-key": Cause(
        "ContainerConfigError",
        r".*couldn't find key absent in Secret \S+/half",
        variable(secretKeyRef={"name": "half", "key": "absent"}),
        HANGS,
    ),
    "no-config-map": Cause(
        "ContainerConfigError",
        r'.*configmap "absent" not found',
        variable(configMapKeyRef={"name": "absent", "key": "x"}),
        HANGS,
    ),
    "no-account": Cause(
        "ServiceAccountNotFound",
        r'.*serviceaccount "absent" not found',
        job("true", run={"environment": {"serviceAccountName": "absent"}}),
        HANGS,
    ),
    "no-claim": Cause(
        "VolumeNotMounted",
        r'.*persistentvolumeclaim "absent" not found.*',
        volume(persistentVolumeClaim={"claimName": "absent"}),
        HANGS,
    ),
    "no-volume": Cause(
        "VolumeNotMounted",
        r'.*"data".*configmap "absent" not found',
        volume(configMap={"name": "absent"}),
        HANGS,
    ),
    "no-path": Cause(
        "VolumeNotMounted",
        r".*/no/such/place is not a directory",
        volume(hostPath={"path": "/no/such/place", "type": "Directory"}),
        HANGS,
    ),
    # -- how the program ended
    "exit-code": Cause(
        "ContainerFailed", "exit code 7: before", job("sh", "-c", f"echo before; {PAUSE}; exit 7")
    ),
    "traceback": Cause(
        "ContainerFailed",
        r"(?s)exit code 1: ValueError: no such column; its last lines:\nTraceback.*no such column",
        job("sh", "-c", f"python3 -c \"raise ValueError('no such column')\"; {PAUSE}; exit 1"),
    ),
    "no-such-command": Cause(
        "ContainerFailed",
        "the container could not start: .*no-such-program.*",
        job("no-such-program"),
    ),
    "memory": Cause(
        "OOMKilled", "the container used more memory than its limit of 40Mi", job(*GREEDY, **SMALL)
    ),
    "timeout": Cause(
        "DeadlineExceeded",
        "it did not end within 25 s",
        job("sleep", "60"),
        fields={"termination": {"timeout": 25}},
    ),
    "polite-timeout": Cause(
        "DeadlineExceeded",
        "it did not end within 25 s",
        job("sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait"),
        fields={"termination": {"timeout": 25}},
    ),
    # -- what runs beside it
    "sidecar": Cause(
        "ContainerFailed",
        r"sidecar 'sidecar-0' does not come up, and main waits for it: "
        r"could not start: .*no-such-program.*",
        job("true", run={"sidecars": [{"image": PLAIN, "command": ["no-such-program"]}]}),
        HANGS,
    ),
    "no-priority": Cause(
        "PodRefused",
        r".*no PriorityClass with name absent was found",
        job("true", run={"environment": {"priorityClassName": "absent"}}),
    ),
    # -- init steps
    "init-exit-code": Cause(
        "InitFailed",
        r"(?s)init step 'fetch' ended with exit code 3: .*no shop, password=\*\*\*",
        init(step("fetch", "sh", "-c", f"echo no shop, password=hunter22; {PAUSE}; exit 3")),
    ),
    "init-memory": Cause(
        "OOMKilled",
        "init step 'unpack' used more memory than its limit of 40Mi",
        init(step("unpack", *GREEDY, **SMALL)),
    ),
    "init-hangs": Cause(
        "InitRunning",
        r"init step 'wait' has been running since \S+Z",
        init(step("wait", "sh", "-c", "echo at it; sleep 300")),
        HANGS,
    ),
    "init-timeout": Cause(
        "DeadlineExceeded",
        "init step 'wait' did not end within 25 s",
        init(step("wait", "sleep", "30")),
        fields={"termination": {"timeout": 25}},
    ),
    "folder-in-the-way": Cause(
        "InitFailed",
        r"init step .*/a: a folder of that name is there already",
        init(file("1", filename="a/b.txt"), file("2")),
    ),
    "init-full-volume": Cause(
        "InitFailed",
        r"(?s)init step 'unpack' ended with exit code 1: .*No space left on device.*",
        init(
            step(
                "unpack",
                "sh",
                "-c",
                f"dd if=/dev/zero of=/full/a count=100 || {{ {PAUSE}; exit 1; }}",
                volumeMounts=[{"name": "full", "mountPath": "/full"}],
            ),
            volumes=[{"name": "full", "emptyDir": {"medium": "Memory", "sizeLimit": "8Ki"}}],
        ),
    ),
    # -- wrong values
    "chmod": Cause(
        "InvalidSpec",
        r"run\.init\[0\]\.file\.chmod: .*, found 'rwx please'",
        init(file("1", chmod="rwx please")),
    ),
    "many-variables": Cause(
        "TooLarge",
        r"run\.container\.env: there are 10000 variables; at most 2000 fit",
        job("true", env=[{"name": f"V{number}", "value": "1"} for number in range(10_000)]),
    ),
    "large-variables": Cause(
        "TooLarge",
        r"run\.container\.env: the variables take 1024\.\d KiB \(\d+ bytes\); "
        r"at most 512\.0 KiB \(524288 bytes\) fit",
        job("true", env=[{"name": f"V{number}", "value": "x" * 64 * 1024} for number in range(16)]),
    ),
    "restart-always": Cause(
        "InvalidSpec",
        r"run\.environment\.restartPolicy: a job ends: .*found .*'Always'",
        job("true", run={"environment": {"restartPolicy": "Always"}}),
    ),
}


async def test_every_cause_is_named_and_said_what_to_do_about(
    kube: KubeApi, namespace: str
) -> None:
    kubectl("-n", namespace, "create", "secret", "generic", "half", "--from-literal=there=1")
    made = [
        operation(name, {**cause.fields, "component": cause.component})
        for name, cause in CAUSES.items()
    ]
    # Apply them from a folder as users do: one of them is more than a megabyte.
    kubectl(
        "-n",
        namespace,
        "create",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}),
    )
    bodies = {
        name: await wait_for(kube, namespace, name, lambda one, c=cause: is_reported(one, c))
        for name, cause in CAUSES.items()
    }  # type: ignore[misc]
    assert opstrand("logs", "init-hangs", "-c", "wait", "-p", namespace).stdout == "at it\n"
    lines = {
        line.split()[0]: line for line in kubectl("-n", namespace, "get", "op").stdout.splitlines()
    }
    for name, cause in CAUSES.items():
        status = bodies[name]["status"]
        assert re.fullmatch(cause.says, status["message"]), describe(namespace, bodies[name])
        assert (status["phase"], status["reason"]) == (cause.phase, cause.reason), describe(
            namespace, bodies[name]
        )
        assert (cause.phase == "Failed") == ("finishedAt" in status)
        assert not status.get("duration", 0) > 60
        assert cause.reason in lines[name]
        assert status["message"].splitlines()[0] in lines[name], name


def is_reported(body: Manifest, cause: Cause) -> bool:
    status = body.get("status") or {}
    return status.get("phase") in (cause.phase, "Failed", "Succeeded") and status.get(
        "reason"
    ) not in ("PodCreated", "PodRunning")


async def test_one_run_in_full_is_its_message_what_to_do_and_a_timeline(
    kube: KubeApi, namespace: str
) -> None:
    cause = CAUSES["exit-code"]
    await kube.create(OPERATIONS, namespace, operation("told", {"component": cause.component}))
    await wait_for(kube, namespace, "told", lambda one: is_reported(one, cause))
    told = opstrand("get", "told", "-p", namespace).stdout
    flags = f"--project {namespace}"
    assert re.search(r"^phase: +Failed \(ContainerFailed\)$", told, re.MULTILINE), told
    assert re.search(r"^message: +exit code 7: before$", told, re.MULTILINE)
    assert f"to do:     {advise('ContainerFailed', Known('told', flags))}" in told
    steps = re.findall(
        r"^  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +(\S+) +(\S+)",
        told.partition("history:")[2],
        re.MULTILINE,
    )
    assert [steps[0], steps[1], steps[-1]] == [
        ("created", "Created"),
        ("starting", "PodCreated"),
        ("failed", "ContainerFailed"),
    ]
