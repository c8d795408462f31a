"""Every key that changes a Pod changes a local process too, or is refused, or is reported as left
out.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.support.every_key import Case, find_outcome, iter_cases, make_job, make_places

from opstrand.core.planning.connections import EMPTY
from opstrand.local.limits import ignored_parts, refuse_pod

#: Values that differ from the default. Keys of sections that are in no Pod do not matter here.
INSTEAD: dict[str, Any] = {
    "run": {"kind": "job", "container": {"image": "other"}},
    "container": {"image": "other"},
    "run.environment.hostPID": True,
    "plugins.docker": True,
    "plugins.shm": False,
}
#: What a process has in common with a Pod, as far as the Pod shows it.
_HAS = ("command", "args", "env", "workingDir", "ports")
CASES = [
    case
    for case in iter_cases(make_places(volumes=()), INSTEAD, {})
    if not case.path.startswith(("control", "cache"))
]


def find_pod(case: Case, *, given: bool) -> dict[str, Any] | None:
    made = find_outcome(case.given if given else case.without, EMPTY).manifests
    return next((copy.deepcopy(one) for one in made if one["kind"] == "Pod"), None)


def drop_what_works(pod: dict[str, Any]) -> dict[str, Any]:
    """Return what a process does not have: the rest of the Pod, without our own parts."""
    spec = pod["spec"]
    pod["metadata"].pop("labels")
    spec.pop("activeDeadlineSeconds", None)
    spec["initContainers"] = [
        one for one in spec["initContainers"] if not one["name"].startswith("opstrand-")
    ]
    spec["volumes"] = [one for one in spec["volumes"] if not one["name"].startswith("opstrand-")]
    for container in spec["containers"]:
        for key in _HAS:
            container.pop(key, None)
        container["volumeMounts"] = [
            one for one in container["volumeMounts"] if not one["name"].startswith("opstrand-")
        ]
    return pod


@pytest.mark.parametrize("case", CASES, ids=[case.path for case in CASES])
def test_what_a_process_cannot_have_is_refused_or_said(case: Case) -> None:
    given, without = find_pod(case, given=True), find_pod(case, given=False)
    if given is None or without is None:
        return  # refused, or a service's: its Pod is made of the same parts
    # A sidecar or a container of an init step that is refused as a whole refuses its keys.
    is_whole = case.path.startswith(("run.sidecars[0]", "run.init[0].container")) and refuse_pod(
        without, {}
    )
    is_said = (
        is_whole
        or refuse_pod(given, {}) not in (None, refuse_pod(without, {}))
        or ignored_parts(given) != ignored_parts(without)
    )
    is_image = case.path in ("container", "run", "run.container", "run.container.image")
    assert is_said or is_image or drop_what_works(given) == drop_what_works(without)


def test_what_stands_beside_the_containers_is_left_out_by_its_key() -> None:
    job = {
        **make_job(environment={"labels": {"a": "b"}, "annotations": {"c": "d"}}),
        "queue": "gpus",
    }
    (pod,) = find_outcome(job).manifests
    assert ignored_parts(pod) == ["image", "queue", "labels", "annotations"]
