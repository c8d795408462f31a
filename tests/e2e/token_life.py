"""A run that outlives its token: started with the first test, checked by the last.

600 s is the shortest life that Kubernetes gives a token. The operator gives a run's token 30 days;
this run also mounts a short one of its own, for the same audience and bound to the same Pod, which
the kubelet replaces at 80 % of its life.
"""

from __future__ import annotations

from typing import Any

NAME = "outlives-its-token"
LIFE = 600
#: The API server accepts a token for a minute longer than it says (the default leeway of its token
#: library).
LEEWAY = 60
#: Seconds from the run's creation to its end.
PATIENCE = LIFE + LEEWAY + 40

#: Uses the published client in its own image. A step that failed leaves no output of the run.
PROGRAM = (
    f"LEEWAY = {LEEWAY}"
    + """
import base64, json, os, ssl, time, urllib.error, urllib.request

def mounted():
    with open("/short/token") as file:
        return file.read()

first = mounted()
payload = first.split(".")[1]
expiry = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
with open("/plx-context/.configs/.auth", "w") as file:
    json.dump({"POLYAXON_AUTH_USERNAME": "run", "POLYAXON_AUTH_TOKEN": first}, file)

from polyaxon.client import RunClient

client = RunClient()  # has read its token now, once and for all

def write(**outputs):
    for _ in range(10):  # another test's installation may be replacing the API just now
        try:
            return client.log_outputs(async_req=False, **outputs)
        except Exception as error:
            print("again:", repr(error)[:300])
            time.sleep(2)
    raise SystemExit("never written")

def patch_with(token):
    owner, project, _, uuid = os.environ["POLYAXON_RUN_INSTANCE"].split(".")
    url = f"{os.environ['POLYAXON_HOST']}/api/v1/{owner}/{project}/runs/{uuid}"
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(url, b'{"outputs": {"bad": 1}, "merge": true}', headers, method="PATCH")
    trust = ssl.create_default_context(cafile=os.environ["POLYAXON_SSL_CA_CERT"])
    try:
        return urllib.request.urlopen(request, timeout=30, context=trust).status
    except urllib.error.HTTPError as error:
        return error.code

write(seconds_left_at_start=expiry - time.time())
while mounted() == first:
    time.sleep(1)
write(seconds_left_at_change=expiry - time.time())
time.sleep(max(expiry + LEEWAY + 6 - time.time(), 62))  # and our API asks again about a token after a minute
write(seconds_after_expiry=time.time() - expiry)
head, body, signature = first.split(".")
write(forged=[patch_with(".".join([head, body, signature[:-6] + "AAAAAA"])), patch_with(".".join([head, body, ""]))])
"""
)


def token_life_spec() -> dict[str, Any]:
    """Return the Operation's spec."""
    source = {
        "serviceAccountToken": {"audience": "opstrand", "expirationSeconds": LIFE, "path": "token"}
    }
    container = {
        "image": "polyaxon/polyaxon-quick-start",
        "command": ["python3", "-u", "-c", PROGRAM],
        "volumeMounts": [{"name": "short", "mountPath": "/short"}],
    }
    volumes = [{"name": "short", "projected": {"sources": [source]}}]
    return {"component": {"run": {"kind": "job", "volumes": volumes, "container": container}}}
