"""A mistake in a user's part of a Pod is reported with its path, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import ME, operation, values

from opstrand.core.operation import CompiledOperation
from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.core.pods.pod_rules import RUN_VARIABLES, check_plan
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.kubernetes.values import is_quantity

IMAGE = {"image": "busybox"}


def problems(run: dict[str, Any], params: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:  # a shape is checked at reading, a value at rendering
        validate_one(operation(params, run=run, **fields))
    return str(caught.value).splitlines()


def validate_one(compiled: CompiledOperation) -> None:
    check_plan(compile_plan(compiled, values(compiled), ME, None))


def container(**fields: Any) -> dict[str, Any]:
    return {"container": {**IMAGE, **fields}}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"container": {"command": ["x"]}}, "run.container.image: a container needs an image"),
        ({"container": {"image": ""}}, "run.container.image: a container needs an image"),
        (
            container(resources={"requests": {"cpu": "much"}}),
            "run.container.resources.requests.cpu: expected a quantity such as 500m, 2 or 1Gi, "
            "found the text 'much'",
        ),
        (
            container(ports=[{"containerPort": "{{ port }}"}]),
            "run.container.ports[0].containerPort: expected a whole number, found the text",
        ),
        (container(ports=[{"name": "http"}]), "run.container.ports[0].containerPort: is required"),
        (container(tty="yes"), "run.container.tty: expected true or false, found the text 'yes'"),
        (
            container(securityContext={"runAsUser": 1.5}),
            "run.container.securityContext.runAsUser: expected a whole number",
        ),
        (
            container(livenessProbe={"httpGet": {"path": "/"}}),
            "run.container.livenessProbe.httpGet.port: is required",
        ),
        (
            container(volumeMounts=[{"name": "dta", "mountPath": "/d"}]),
            "run.container.volumeMounts[0].name: there is no volume 'dta'",
        ),
        (
            container(volumeMounts=[{"name": "data"}]),
            "run.container.volumeMounts[0].mountPath: is required",
        ),
        (
            {
                "volumes": [{"name": "v", "emptyDir": {}}],
                **container(volumeMounts=[{"name": "v", "mountPath": "/plx-context/artifacts"}]),
            },
            "run.container.volumeMounts[0].mountPath: something is mounted at "
            "/plx-context/artifacts already",
        ),
        (
            {**container(), "volumes": [{"name": "a", "emptyDir": {"sizeLimit": "big"}}]},
            "run.volumes[0].emptyDir.sizeLimit: expected a quantity",
        ),
        (
            {**container(), "volumes": [{"name": "a", "hostPath": {"path": 5}}]},
            "run.volumes[0].hostPath.path: expected text, found the number 5",
        ),
        (
            {**container(), "volumes": [{"name": "a"}, {"name": "a"}]},
            "run.volumes[1].name: there are two volumes 'a'",
        ),
        (
            {**container(), "volumes": [{"name": "opstrand-token"}]},
            "run.volumes[0].name: 'opstrand-token' is no name for a volume of yours",
        ),
        (
            {**container(), "sidecars": [{"name": "main", **IMAGE}]},
            "run.sidecars[0].name: the Pod has a container 'main' already",
        ),
        (
            {**container(), "sidecars": [{"name": "A_b", **IMAGE}]},
            "run.sidecars[0].name: expected lower-case letters",
        ),
        (
            {**container(), "sidecars": [{"name": "a"}]},
            "run.sidecars[0].image: a container needs an image",
        ),
        (
            {**container(), "init": [{"container": {"command": ["a"]}}]},
            "run.init[0].container.image: a container needs an image",
        ),
        (
            {**container(), "environment": {"restartPolicy": "Always"}},
            "run.environment.restartPolicy: a job ends: expected Never or OnFailure (with "
            "termination.maxRetries), found the text 'Always'",
        ),
        (
            {**container(), "environment": {"tolerations": [{"tolerationSeconds": "x"}]}},
            "run.environment.tolerations[0].tolerationSeconds: expected",
        ),
        (
            {**container(), "environment": {"labels": {"a": "x y"}}},
            "run.environment.labels.a: expected at most 63 letters",
        ),
        (
            container(volumeMounts=[None]),
            "component.run.container.volumeMounts[0]: expected a mapping, found nothing (null)",
        ),
        (
            {**container(), "environment": {"labels": "{{ port }}"}},
            "run.environment.labels: expected a mapping, found the text 'much'",
        ),
        (
            {**container(), "environment": {"annotations": "{{ port }}"}},
            "run.environment.annotations: expected a mapping, found the text",
        ),
        (
            {**container(), "init": [{"container": "{{ port }}"}]},
            "run.init[0].container: expected a container (a mapping), found 'much'",
        ),
        (
            {**container(), "environment": {"hostPID": "{{ port }}"}},
            "run.environment.hostPID: expected true or false, found the text 'much'",
        ),
        (
            container(env=[{"name": "A=B", "value": "1"}]),
            "run.container.env: 'A=B' is no name of a variable",
        ),
        (
            {**container(), "init": [{"file": {"content": "x"}, "path": "/plx-context/.configs/"}]},
            "run.init[0].path: something is mounted at /plx-context/.configs already",
        ),
        (
            {**container(), "init": [{"file": {"content": "x"}, "path": "/a/.."}]},
            "run.init[0].path: nothing can be mounted at '/'",
        ),
        (
            {**container(), "init": [{"file": {"content": "x"}, "path": "/opt"}]},
            "run.init[0].path: the init container's own programs are in /opt, and a volume there "
            "would hide them; use another folder",
        ),
        ({**container(), "init": [{}]}, "run.init[0]: a step needs one of file, dockerfile, git"),
        (
            {**container(), "init": [{"paths": ["../a"]}]},
            "run.init[0]: a path must stay within its store",
        ),
        (
            {**container(), "init": [{"modelRef": "a:b"}]},
            "run.init[0].modelRef: init steps of the kind 'modelRef' are not run",
        ),
        (
            {**container(), "init": [{"container": IMAGE}, {"lineageRef": "0" * 32 + ":m"}]},
            "run.init[1].lineageRef: init steps of the kind 'lineageRef' are not run by this "
            "version; the same: a param",
        ),
        (
            {**container(), "init": [{"dockerfile": {"image": "a\nb"}}]},
            "run.init[0].dockerfile: a dockerfile's names and paths are one line",
        ),
    ],
)
def test_each_mistake_has_its_path(run: dict[str, Any], words: str) -> None:
    found = problems(run, {"port": "much"})
    assert any(line.startswith(words) for line in found), found


def test_all_mistakes_at_once() -> None:
    found = problems(
        {
            "container": {"resources": {"limits": {"memory": "much"}}},
            "environment": {"restartPolicy": "Always"},
        }
    )
    assert len(found) == 3


def test_ten_thousand_variables_and_a_mebibyte_are_refused_with_sizes() -> None:
    many = [{"name": f"V{number}", "value": "x"} for number in range(10_000)]
    assert problems(container(env=many)) == [
        "run.container.env: there are 10000 variables; at most 2000 fit"
    ]
    large = [{"name": f"V{number}", "value": "x" * 1024} for number in range(1024)]
    (line,) = problems(container(env=large))
    assert line.startswith("run.container.env: the variables take 1028.9 KiB (10536")
    assert line.endswith("at most 512.0 KiB (524288 bytes) fit")
    (line,) = problems(container(env=[{"name": "BIG", "value": "x" * 200_000}]))
    assert (
        line == "run.container.env: the variable BIG takes 195.3 KiB (200004 bytes); "
        "at most 128.0 KiB (131071 bytes) fit"
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            {"file": {"content": "x", "filename": "a", "chmod": "rwx"}},
            "run.init[0].file.chmod: chmod accepts a mode such as 755, 0644 or +x",
        ),
        (
            {"file": {"content": "x", "filename": "../a"}},
            "run.init[0].file.filename: expected the name of a file, found '../a'",
        ),
        (
            {"dockerfile": {"image": "a", "filename": "../../a"}},
            "run.init[0].dockerfile.filename: expected the name of a file, found '../../a'",
        ),
        (
            {"file": {"content": "x", "filename": "a/"}},
            "run.init[0].file.filename: expected the name of a file",
        ),
        (
            {"file": {"content": "x", "filename": f"a/{'é' * 128}"}},
            "run.init[0].file.filename: the name of a file takes at most 255 bytes, found one of "
            "256",
        ),
        (
            {"dockerfile": {"image": "a", "filename": "x" * 300}},
            "run.init[0].dockerfile.filename: the name of a file takes at most 255 bytes, found "
            "one of 300",
        ),
        (
            {"file": {"content": "x"}, "path": "relative"},
            "run.init[0].path: expected an absolute path, found 'relative'",
        ),
    ],
)
def test_a_step_that_could_only_fail(step: dict[str, Any], words: str) -> None:
    assert problems({**container(), "init": [step]})[0].startswith(words)


@pytest.mark.parametrize(
    "value", ["500m", "1", "0.5", "1Gi", "100M", "1e3", "-1", 2, 0.1, "+1", ".5", "5."]
)
def test_quantities(value: Any) -> None:
    assert is_quantity(value)


@pytest.mark.parametrize("value", ["", "much", "1 Gi", "1GiB", "1,5", True, None, "Gi", "1e"])
def test_what_is_no_quantity(value: Any) -> None:
    assert not is_quantity(value)


def test_a_param_cannot_take_the_place_of_a_variable_of_the_run() -> None:
    (problem,) = problems(
        container(), {"host": {"value": "x", "contextOnly": True, "toEnv": "POLYAXON_HOST"}}
    )
    assert (
        problem == "run.container.env: toEnv asks for POLYAXON_HOST, "
        "which every run has with a value of its own; use another name"
    )


def test_the_variables_of_a_run_are_those_that_a_pod_has_that_names_them_all() -> None:
    compiled = operation(run={"kind": "job", **container(args=sorted(RUN_VARIABLES))})
    pod = render_pod(
        compile_plan(compiled, values(compiled), ME, None),
        owner={},
        pod_name="p",
        settings=Settings(),
    ).pod
    assert {one["name"] for one in pod["spec"]["containers"][0]["env"]} - {
        "NVIDIA_VISIBLE_DEVICES"
    } == RUN_VARIABLES


@pytest.mark.parametrize(
    "path",
    [
        "/usr",
        "/usr/",
        "//usr",
        "/usr/.",
        "/data/../usr/lib",
        "/usr/local/lib",
        "/opt",
        "/proc",
        "/bin/",
    ],
)
def test_a_step_hides_no_program_of_its_container_however_its_folder_is_spelt(path: str) -> None:
    (problem,) = problems({**container(), "init": [{"file": {"content": "x"}, "path": path}]})
    assert "would hide them" in problem


@pytest.mark.parametrize(
    "path", ["/data", "/usr/src/app", "/opt/data", "/etc/tool", "/user", "/library", "/home/run"]
)
def test_a_step_may_have_any_other_folder(path: str) -> None:
    validate_one(operation(run={**container(), "init": [{"file": {"content": "x"}, "path": path}]}))


@pytest.mark.parametrize(
    ("run", "path"),
    [
        (container(command=["a\0b"]), "run.container.command[0]"),
        (container(args=["{{ nul }}"]), "run.container.args[0]"),
        (container(env=[{"name": "A", "value": "\0"}]), "run.container.env[0].value"),
        (container(workingDir="/a\0"), "run.container.workingDir"),
        (
            {**container(), "init": [{"file": {"content": "x", "filename": "a\0"}}]},
            "run.init[0].file.filename",
        ),
        ({**container(), "init": [{"paths": ["a\0"]}]}, "run.init[0].paths[0]"),
        (
            {**container(), "environment": {"annotations": {"a": "\0"}}},
            "run.environment.annotations.a",
        ),
    ],
)
def test_a_nul_is_in_nothing_that_the_kernel_takes(run: dict[str, Any], path: str) -> None:
    assert [
        text
        for text in problems(run, {"nul": {"value": "\0"}})
        if text.startswith(f"{path}: holds the character NUL")
    ] != []


def test_a_nul_may_be_in_a_file() -> None:
    validate_one(operation(run={**container(), "init": [{"file": {"content": "\0"}}]}))
