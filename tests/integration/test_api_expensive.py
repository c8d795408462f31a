"""POST of files that are too expensive: the answer names the limit, and many files of one project
wait for each other and not for those of other projects.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from opstrand.api.validation import MOST_WAITING
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import API_USER, CHECKOUT, make_namespace, make_token, run_kubectl
from tests.support.operator_process import OperatorProcess

#: The limits of one file in a worker, in this test. A busy machine takes many times as long by the
#: clock.
SECONDS, MEGABYTES = 1, 64
LOOP = "{% for i in range(10**12) %}{% endfor %}"
TEXT = {"name": "t", "type": "str", "value": "a" * 60}
Answer = tuple[int, str, str]


@pytest.fixture(scope="module")
def address(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of the API's own process, with the rights of manifests/."""
    kubeconfig = control_plane.kubeconfig
    run_kubectl(kubeconfig, "create", "namespace", "opstrand", check=False)
    run_kubectl(
        kubeconfig,
        "apply",
        "--server-side",
        "-n",
        "opstrand",
        "-f",
        str(CHECKOUT / "manifests/base/rbac-api.yaml"),
    )
    binding = (
        "create",
        "clusterrolebinding",
        "api-of-the-expensive",
        "--clusterrole=opstrand-api",
        f"--user={API_USER}",
    )
    run_kubectl(kubeconfig, *binding)
    port, folder = free_port("127.0.0.1"), tmp_path_factory.mktemp("api")
    settings = {"api_listen_port": port, "decision_seconds": SECONDS, "decision_memory": MEGABYTES}
    process = OperatorProcess(
        Path(control_plane.user(API_USER)), folder / "api.log", module="opstrand.api", **settings
    )
    process.start()
    process.wait_until_started(60)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    assert "Traceback" not in process.read_log()


class Project:
    """A namespace, and a user who may edit in it."""

    def __init__(self, http: aiohttp.ClientSession, name: str, token: str) -> None:
        self._http, self.name, self._headers = http, name, {"Authorization": f"Bearer {token}"}

    async def post(self, *args: str, **spec: Any) -> Answer:
        """Return the status, the detail, and the seconds after which to retry."""
        run = {"kind": "job", "container": {"image": "busybox", "args": list(args)}}
        content = json.dumps(
            {"kind": "operation", "name": "sent", "component": {"run": run, **spec}}
        )
        path = f"/api/v1/default/{self.name}/runs"
        async with self._http.post(
            path, json={"content": content}, headers=self._headers
        ) as answer:
            return (
                answer.status,
                str((await answer.json()).get("detail", "")),
                answer.headers.get("Retry-After", ""),
            )


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def projects(
    address: str, control_plane: ControlPlane, kube: KubeApi
) -> AsyncIterator[tuple[Project, Project]]:
    async with aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(total=None)) as http:

        async def make(name: str) -> Project:
            await make_namespace(kube, name)
            run_kubectl(control_plane.kubeconfig, "-n", name, "create", "serviceaccount", "person")
            binding = (
                "create",
                "rolebinding",
                "person",
                "--clusterrole=edit",
                f"--serviceaccount={name}:person",
            )
            run_kubectl(control_plane.kubeconfig, "-n", name, *binding)
            return Project(http, name, await make_token(kube, name, "person"))

        yield await make("expensive"), await make("thrifty")


@pytest.mark.parametrize(
    ("args", "spec", "limit"),
    [
        (
            [LOOP],
            {},
            f"validating it was ended: it takes longer than {SECONDS} s of computing time",
        ),
        (
            ["{{ [0] * 10**9 }}"],
            {},
            "run.container.args[0]: '{{ [0] * 10**9 }}': it takes too much memory",
        ),
        (
            [],
            {
                "inputs": [
                    {
                        "name": "t",
                        "type": "str",
                        "value": "a" * 60,
                        "validation": {"regex": "(a+)+b"},
                    }
                ]
            },
            f"validating it was ended: it takes longer than {SECONDS} s",
        ),
    ],
    ids=["time", "memory", "a regex"],
)
async def test_what_takes_too_much_is_answered_with_the_limit_it_hit(
    projects: tuple[Project, Project],
    kube: KubeApi,
    args: list[str],
    spec: dict[str, Any],
    limit: str,
) -> None:
    status, detail, again = await projects[0].post(*args, **spec)
    assert (status, again) == (400, "")
    assert limit in detail
    assert (await kube.list(OPERATIONS, projects[0].name))[0] == []


async def test_more_than_may_wait_are_answered_429_and_another_project_is_served(
    projects: tuple[Project, Project],
) -> None:
    """One of the project's files is in work and the bound of others wait; the answer to each
    further one says when to retry.
    """
    crowd, other = projects
    more = 5
    waiting = {asyncio.create_task(crowd.post(LOOP)) for _ in range(1 + MOST_WAITING + more)}
    answers: list[Answer] = []
    while len(waiting) > 1 + MOST_WAITING:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answers += [one.result() for one in done]
    found = Counter(status for status, _, _ in answers)
    assert set(found) <= {400, 429}
    # Each file that was validated in the meantime made room for one more.
    assert found[429] >= more - found[400] > 0
    for status, detail, again in answers:
        if status == 429:
            assert again == "5"
            assert f"{MOST_WAITING} files of the project 'expensive' wait to be validated" in detail
    assert (await other.post("{{ [1, 2] | sum }}"))[0] == 201
    assert not all(one.done() for one in waiting), (
        "the other project waited for all files of this one"
    )
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
