"""Images with Python and nothing else: both programs run, and a value passes from one run to the
next, wherever their Python comes from.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from opstrand.core.identity import ARTIFACTS_PATH
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import PODS
from opstrand.types import Manifest
from tests.e2e.conftest import (
    SAMPLES,
    describe,
    is_final,
    kubectl,
    main_log,
    main_log_lines,
    operation,
    script,
    succeed,
    wait_for,
)

QUICK_START = "polyaxon/polyaxon-quick-start"
PLAIN = "localhost/python-base:1"
#: Every source of a Python: its image, and variables that its container sets.
PLACES: dict[str, tuple[str, list[dict[str, str]]]] = {
    "plain": (PLAIN, []),
    "own-path": (PLAIN, [{"name": "PYTHONPATH", "value": f"{ARTIFACTS_PATH}/own"}]),
    "venv": ("localhost/python-venv:1", []),
    "oldest": ("localhost/python-39:1", []),
    "newest": ("localhost/python-new:1", []),
    "published": (QUICK_START, []),
}
MESSAGE = 'it\'s "quoted" $(HOME) \\n ünïcode'
TRAIN = f"""
import sys
from polyaxon import tracking
tracking.init()
tracking.log_outputs(message={MESSAGE!r})
tracking.end()
import polyaxon
print(sys.prefix, "%d.%d" % sys.version_info[:2], polyaxon.__file__)
"""
OWN = (
    "from polyaxon.client import RunClient\nclient = "
    "RunClient()\nclient.refresh_data()\nprint(client.get_inputs())\n"
)


def placed(component: dict[str, Any], place: str) -> dict[str, Any]:
    image, env = PLACES[place]
    container = {**component["run"]["container"], "image": image, **({"env": env} if env else {})}
    return {**component, "run": {**component["run"], "container": container}}


def chain(place: str) -> list[Manifest]:
    """Return a run that reports the message, and both programs that print it."""
    train = script(TRAIN, PLACES[place][0], outputs=[{"name": "message", "type": "str"}])
    made = [operation(f"{place}-train", {"component": placed(train, place)})]
    for program in ("echo", "echo-tracking"):
        component = placed(yaml.safe_load((SAMPLES / f"{program}.yaml").read_text()), place)
        params = {"message": {"ref": f"ops.{place}-train", "value": "outputs.message"}}
        made.append(operation(f"{place}-{program}", {"params": params, "component": component}))
    return made


def create(namespace: str, manifests: list[Manifest]) -> None:
    kubectl(
        "-n",
        namespace,
        "create",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
    )


def bare_pod(name: str, image: str) -> Manifest:
    """Return a Pod that is no run: it shows what the image alone can import."""
    container = {"name": "main", "image": image, "command": ["python3", "-c", "import polyaxon"]}
    spec = {
        "restartPolicy": "Never",
        "containers": [{**container, "terminationMessagePolicy": "FallbackToLogsOnError"}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.mark.usefixtures("every_image")
async def test_both_programs_and_a_value_from_run_to_run_in_every_image(
    kube: KubeApi, namespace: str
) -> None:
    empty = {
        place: image for place, (image, env) in PLACES.items() if image != QUICK_START and not env
    }
    create(
        namespace,
        [
            *(one for place in PLACES for one in chain(place)),
            *(bare_pod(f"bare-{k}", v) for k, v in empty.items()),
        ],
    )
    kubectl(
        "-n", namespace, "wait", "--for=condition=Finished", "operation", "--all", "--timeout=240s"
    )
    for place in PLACES:
        for program in ("echo", "echo-tracking"):
            body = await succeed(kube, namespace, f"{place}-{program}")
            assert main_log(namespace, body) == f"{ {'message': MESSAGE} }\n", f"{place} {program}"
    facts = {
        place: main_log(namespace, await succeed(kube, namespace, f"{place}-train")).split()
        for place in PLACES
    }
    shim = f"{ARTIFACTS_PATH}/polyaxon/__init__.py"
    assert [place for place, fact in facts.items() if fact[2] != shim] == ["published"], facts
    assert "-packages/polyaxon/" in facts["published"][2]
    assert (facts["venv"][0], facts["oldest"][1]) == ("/opt/venv", "3.9")
    assert facts["newest"][1] not in (facts["oldest"][1], facts["plain"][1])
    for place in empty:
        assert "No module named 'polyaxon'" in await last_words(kube, namespace, f"bare-{place}")


async def last_words(kube: KubeApi, namespace: str, pod: str) -> str:
    kubectl(
        "-n",
        namespace,
        "wait",
        "--for=jsonpath={.status.phase}=Failed",
        f"pod/{pod}",
        "--timeout=60s",
    )
    return str(
        (await kube.get(PODS, namespace, pod))["status"]["containerStatuses"][0]["state"][
            "terminated"
        ]["message"]
    )


async def test_programs_that_are_not_beside_the_scripts_ask_for_the_client(
    kube: KubeApi, namespace: str
) -> None:
    """If the folder of no script is on the path, no variable is changed unless `plugins.client`
    asks for it.
    """
    show = f"import os; print(os.environ.get('PYTHONPATH')); {OWN.strip().replace(chr(10), '; ')}"
    own_path = [{"name": "PYTHONPATH", "value": f"{ARTIFACTS_PATH}/own"}]
    asked: dict[str, tuple[dict[str, Any], list[str], list[dict[str, str]]]] = {
        "without": ({}, ["-c", show], []),
        "command": ({"client": True}, ["-c", show], []),
        "module": ({"client": True}, ["-m", "mine"], own_path),
    }
    manifests = []
    for name, (plugins, arguments, env) in asked.items():
        component = script("", PLAIN, plugins=plugins)
        component["run"]["init"] = [
            {
                "file": {
                    "filename": "own/mine.py",
                    "content": f"import os\nprint(os.environ['PYTHONPATH'])\n{OWN}",
                }
            }
        ]
        component["run"]["container"] = {
            "image": PLAIN,
            "workingDir": "/",
            "command": ["python3", "-u", *arguments],
            "env": env,
        }
        manifests.append(
            operation(name, {"params": {"message": {"value": name}}, "component": component})
        )
    create(namespace, manifests)
    body = await wait_for(kube, namespace, "without", is_final)
    assert "No module named 'polyaxon'" in body["status"]["message"], describe(namespace, body)
    assert "None" in main_log_lines(namespace, body)
    for name, path in (
        ("command", ARTIFACTS_PATH),
        ("module", f"{ARTIFACTS_PATH}/own:{ARTIFACTS_PATH}"),
    ):
        body = await succeed(kube, namespace, name)
        assert main_log(namespace, body) == f"{path}\n{ {'message': name} }\n"
