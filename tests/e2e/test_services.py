"""A service in real containers: reached by its name from other runs, kept alive, ended."""

from __future__ import annotations

from typing import Any

from opstrand.kube.api import OPERATIONS, KubeApi
from tests.e2e.conftest import kubectl, operation, succeed, wait_for

PLAIN = "localhost/python-base:1"
#: Says which Pod it is.
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(3)
        body = os.environ["POLYAXON_K8S_POD_ID"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("", {{ globals.ports[0] }}), Handler).serve_forever()
"""


def server(**run: Any) -> dict[str, Any]:
    container = {"image": PLAIN, "command": ["python3", "-u", "-c", SERVER]}
    return {"run": {"kind": "service", "ports": [8000], "container": container, **run}}


#: Asks until it has heard two different Pods, or for a minute.
ASKER = """
import sys, time, urllib.request
heard = set()
for _ in range(300):
    try:
        heard.add(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode())
    except OSError:
        pass
    if len(heard) == 2:
        break
    time.sleep(0.2)
print(*sorted(heard), sep="\\n")
"""


def asker(url: str) -> dict[str, Any]:
    return {"run": {"kind": "job", "container": {"image": PLAIN, "command": ["python3", "-c", ASKER, url]}}}


def serves(body: Any) -> bool:
    return len((body.get("status", {}).get("service") or {}).get("pods") or ()) == 2 and body["status"]["phase"] == "Running"


async def test_two_replicas_answer_by_the_services_name(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, operation("web", {"component": server(replicas=2)}))
    body = await wait_for(kube, namespace, "web", serves)
    host = body["status"]["service"]["host"]
    await kube.create(OPERATIONS, namespace, operation("ask", {"component": asker(f"http://{host}:8000/")}))
    asked = await succeed(kube, namespace, "ask")
    heard = kubectl("-n", namespace, "logs", asked["status"]["pod"]["name"], "-c", "main").stdout.split()
    assert heard == [one["name"] for one in body["status"]["service"]["pods"]]
