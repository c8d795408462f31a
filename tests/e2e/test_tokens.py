"""Which tokens count for a run, tried from inside real Pods; and a token that expires while its Pod
lives.

The last test waits for a run of eleven minutes that started with the first one: beside the others
it costs little, alone it takes that long (`-k 'not outlives'` leaves it out).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.types import Manifest
from tests.e2e import token_life
from tests.e2e.conftest import (
    ShortTokenRun,
    describe,
    forward_api,
    in_phase,
    is_final,
    kubectl,
    main_log,
    make_token,
    open_http,
    operation,
    script,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
#: Sends every kind of request about another run and prints the answers. Arguments: the other run's
#: path, the folder of each token to try.
PROBE = """
import json, os, ssl, sys, urllib.error, urllib.request

# Without an authority the program accepts any certificate.
given = os.environ.get("POLYAXON_SSL_CA_CERT")
trust = ssl.create_default_context(cafile=given) if given else ssl._create_unverified_context()

def ask(token, method, end, body=None):
    headers = {"Content-Type": "application/json", **({"Authorization": "Bearer " + token} if token else {})}
    request = urllib.request.Request(os.environ["POLYAXON_HOST"] + sys.argv[1] + end, body, headers, method=method)
    try:
        return urllib.request.urlopen(request, timeout=30, context=trust).status
    except urllib.error.HTTPError as error:
        return error.code

def ask_all(token):
    patch = ask(token, "PATCH", "", b'{"outputs": {"stolen": 1}, "merge": true}')
    lineage = ask(token, "POST", "/lineage/artifacts", b'{"artifacts": [{"name": "stolen"}]}')
    return [ask(token, "GET", ""), patch, lineage, ask(token, "POST", "/stop"), ask(token, "DELETE", "")]

answers = {"none": ask_all(""), "nonsense": ask_all("nonsense")}
for folder in sys.argv[2:]:
    with open(folder + "/token") as file:
        token = file.read().strip()
    answers[folder] = ask_all(token)
    answers[folder + " forged"] = ask_all(token[:-6] + "AAAAAA")
print(json.dumps(answers))
"""
OWN, ELSE, CLUSTER = "/plx-context/.token", "/else", "/var/run/secrets/kubernetes.io/serviceaccount"
#: GET, PATCH, POST lineage, POST stop, DELETE. A run that is not among the other's upstreams has
#: only the rights of its account, which has none.
NOBODY, STRANGER = [401] * 5, [404] * 5


async def test_only_its_own_pod_speaks_for_a_run(kube: KubeApi, namespace: str) -> None:
    """Neither another run nor a Pod with the run's own labels and owner may write to it or read
    it.
    """
    holding = script(
        "import time\nfrom polyaxon.client import "
        "RunClient\nRunClient().log_outputs(own=1)\ntime.sleep(600)",
        PLAIN,
    )
    victim = await kube.create(OPERATIONS, namespace, operation("victim", {"component": holding}))
    path = f"/api/v1/default/{namespace}/runs/{victim['metadata']['uid']}"
    victim = await wait_for(
        kube, namespace, "victim", lambda body: bool(body.get("status", {}).get("outputs"))
    )
    pod = await kube.get(PODS, namespace, victim["status"]["pod"]["name"])

    other = script(PROBE, PLAIN)
    other["run"]["container"]["command"] += [path, OWN, ELSE]
    other["run"]["container"]["volumeMounts"] = [{"name": "else", "mountPath": ELSE}]
    other["run"]["volumes"] = [token_volume("else", "somebody-else")]
    await kube.create(OPERATIONS, namespace, operation("other", {"component": other}))
    await kube.create(PODS, namespace, forged_pod(pod, path))

    answers = json.loads(main_log(namespace, await succeed(kube, namespace, "other")))
    assert answers == {
        "none": NOBODY,
        "nonsense": NOBODY,
        OWN: STRANGER,
        f"{OWN} forged": NOBODY,
        ELSE: NOBODY,
        f"{ELSE} forged": NOBODY,
    }
    kubectl(
        "-n",
        namespace,
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        "pod/forged",
        "--timeout=60s",
    )
    answers = json.loads(kubectl("-n", namespace, "logs", "forged").stdout)
    assert answers == {
        "none": NOBODY,
        "nonsense": NOBODY,
        OWN: STRANGER,
        f"{OWN} forged": NOBODY,
        CLUSTER: STRANGER,  # it is valid for the API server, and its account has no rights there
        f"{CLUSTER} forged": NOBODY,
    }
    victim = await kube.get(OPERATIONS, namespace, "victim")
    assert (
        victim["status"]["outputs"],
        victim["status"]["phase"],
        "control" in victim["spec"],
    ) == ({"own": 1}, "Running", False)
    assert "stolen" not in json.dumps(victim["status"]), describe(namespace, victim)


def token_volume(name: str, audience: str) -> Manifest:
    return {
        "name": name,
        "projected": {
            "sources": [{"serviceAccountToken": {"audience": audience, "path": "token"}}]
        },
    }


def forged_pod(original: Manifest, path: str) -> Manifest:
    """Return what every user who may create Pods can make: labels, annotations and owner are the
    run's, and the token is for our API.
    """
    main: dict[str, Any] = {
        "name": "main",
        "image": PLAIN,
        "command": ["python3", "-c", PROBE, path, OWN, CLUSTER],
        "env": [{"name": "POLYAXON_HOST", "value": "https://opstrand-api.opstrand:8000"}],
        "volumeMounts": [{"name": "own", "mountPath": OWN}],
    }
    copied = {
        key: original["metadata"][key] for key in ("labels", "annotations", "ownerReferences")
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [main],
        "volumes": [token_volume("own", "opstrand")],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "forged", **copied},
        "spec": spec,
    }


async def write_with(api_url: str, namespace: str, body: Manifest, token: str) -> int:
    url = f"{api_url}/api/v1/default/{namespace}/runs/{body['metadata']['uid']}"
    async with (
        open_http(token) as http,
        http.patch(url, json={"outputs": {"late": 1}, "merge": True}) as answer,
    ):
        return answer.status


async def test_the_token_of_a_pod_that_is_gone_is_worth_nothing(
    kube: KubeApi, namespace: str, api_url: str
) -> None:
    holding = script("import time\ntime.sleep(600)", PLAIN, termination={"maxRetries": 0})
    await kube.create(OPERATIONS, namespace, operation("short-lived", {"component": holding}))
    body = await wait_for(kube, namespace, "short-lived", in_phase("Running"))
    pod = body["status"]["pod"]["name"]
    used, kept = make_token(namespace, pod), make_token(namespace, pod)
    assert await write_with(api_url, namespace, body, used) == 200
    kubectl("-n", namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    assert await write_with(api_url, namespace, body, kept) == 401


async def test_a_run_outlives_its_token(
    kube: KubeApi, run_with_a_short_token: ShortTokenRun, tmp_path: Path
) -> None:
    run = run_with_a_short_token
    body = await wait_for(kube, run.namespace, run.name, is_final, run.until - time.monotonic())
    assert body["status"]["phase"] == "Succeeded", describe(run.namespace, body)
    outputs = body["status"]["outputs"]
    assert outputs["seconds_left_at_start"] > 500
    assert outputs["seconds_left_at_change"] > 0, (
        "the kubelet exchanged the token before it expired"
    )
    assert outputs["seconds_after_expiry"] > token_life.LEEWAY
    assert (outputs["forged"], "bad" in outputs) == ([401, 401], False)
    # Its other token has expired as well, and its Pod is not alive any more: the node reports that
    # a second after the program's end.
    kubectl(
        "-n",
        run.namespace,
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        f"pod/{body['status']['pod']['name']}",
        "--timeout=30s",
    )
    with forward_api(tmp_path) as api_url:
        assert await write_with(api_url, run.namespace, body, run.token) == 401
