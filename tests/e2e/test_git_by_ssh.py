"""Git by ssh with real programs on both sides: sshd in a Pod, the key from a connection's Secret,
and every way in which it is refused.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES, OPERATIONS, PODS
from tests.cluster.cluster import Cluster
from tests.e2e.catalog import catalog
from tests.e2e.conftest import (
    describe,
    is_final,
    kubectl,
    main_log,
    make_namespace,
    operation,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
NAMESPACE = f"e2e-git-host-{int(time.time()) % 100000}"
HOST = f"git-host.{NAMESPACE}"
URL = f"git@{HOST}:team/code.git"


@dataclass(frozen=True)
class Key:
    private: str
    public: str


def make_key() -> Key:
    key = Ed25519PrivateKey.generate()
    formats = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return Key(key.private_bytes(*formats).decode(), public.decode())


@dataclass(frozen=True)
class GitHost:
    """`accepted` is the key that the host accepts; `known` is its line of known_hosts."""

    accepted: Key
    known: str
    commits: dict[str, str]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def git_host(kube: KubeApi, every_image: None) -> AsyncIterator[GitHost]:
    del every_image
    host, accepted = make_key(), make_key()
    await make_namespace(kube, NAMESPACE)
    keys = [
        f"--from-literal=host_key={host.private}",
        f"--from-literal=authorized_keys={accepted.public}\n",
    ]
    kubectl("-n", NAMESPACE, "create", "secret", "generic", "keys", *keys)
    container = {
        "name": "main",
        "image": "localhost/git-by-ssh:1",
        "volumeMounts": [{"name": "keys", "mountPath": "/etc/git-by-ssh"}],
        "readinessProbe": {"tcpSocket": {"port": 22}, "periodSeconds": 1},
    }
    # sshd reads the host key as root, and refuses it if other users may read it; it reads the other
    # file as the user who logs in.
    items = [
        {"key": "host_key", "path": "host_key", "mode": 0o600},
        {"key": "authorized_keys", "path": "authorized_keys", "mode": 0o644},
    ]
    spec = {
        "containers": [container],
        "volumes": [{"name": "keys", "secret": {"secretName": "keys", "items": items}}],
    }
    metadata = {"name": "git-host", "labels": {"app": "git-host"}}
    await kube.create(
        PODS, NAMESPACE, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    )
    kubectl("-n", NAMESPACE, "expose", "pod", "git-host", "--port=22")
    kubectl("-n", NAMESPACE, "wait", "pod/git-host", "--for=condition=Ready", "--timeout=60s")
    listed = kubectl(
        "-n",
        NAMESPACE,
        "exec",
        "git-host",
        "--",
        "git",
        "-C",
        "/srv/git/team/code.git",
        "-c",
        "safe.directory=*",
        "show-ref",
    )
    commits = {
        name.rpartition("/")[2]: commit
        for commit, name in (line.split() for line in listed.stdout.splitlines())
    }
    yield GitHost(accepted, f"{HOST} {host.public}\n", commits)
    await kube.delete(NAMESPACES, None, NAMESPACE)


@pytest.fixture
def silent_host(cluster: Cluster) -> Iterator[str]:
    """Yield a port that accepts connections and never sends anything."""
    with socket.create_server((cluster.host_address, 0)) as listener:
        yield f"ssh://git@{cluster.host_address}:{listener.getsockname()[1]}/team/code.git"


def connection(name: str, url: str = URL) -> dict[str, Any]:
    return {"name": name, "kind": "git", "schema": {"url": url}, "secret": {"name": name}}


def job(init: dict[str, Any], shell: str, **container: Any) -> dict[str, Any]:
    main = {
        "image": PLAIN,
        "command": ["sh", "-ec", shell],
        "workingDir": "{{ globals.artifacts_path }}",
        **container,
    }
    return {"component": {"run": {"kind": "job", "init": [init], "container": main}}}


async def test_a_key_opens_the_door_of_a_host_that_is_the_one_known(
    kube: KubeApi, namespace: str, git_host: GitHost, silent_host: str
) -> None:
    other, nobody = make_key(), {"securityContext": {"runAsUser": 1234, "runAsNonRoot": True}}
    secrets = {
        "plain": {"id_ed25519": git_host.accepted.private},
        "known": {
            "ssh-privatekey": git_host.accepted.private.strip(),
            "known_hosts": git_host.known,
        },
        "wrong-key": {"id_ed25519": other.private, "known_hosts": git_host.known},
        "other-host": {
            "id_ed25519": git_host.accepted.private,
            "known_hosts": f"{HOST} {other.public}\n",
        },
        "unknown-host": {
            "id_ed25519": git_host.accepted.private,
            "known_hosts": f"elsewhere {other.public}\n",
        },
        "silent": {"id_ed25519": git_host.accepted.private},
    }
    for name, keys in secrets.items():
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": keys,
        }
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(secret))
    runs = {name: job({"connection": name}, "true") for name in secrets}
    runs["plain"] = job({"connection": "plain", "git": {"revision": "v1"}}, "cat plain/main.txt")
    submodules = {
        "connection": "known",
        "git": {"flags": ["--recurse-submodules", "--depth 1"]},
        "path": "/work",
    }
    runs["known"] = job(
        submodules,
        "cat /work/known/main.txt /work/known/library/lib.txt; ! grep -r 'PRIVATE KEY' /work "
        "/plx-context",
        **nobody,
    )
    async with catalog(
        {
            "connections": [
                connection(name, silent_host if name == "silent" else URL) for name in secrets
            ]
        }
    ):
        for name, spec in runs.items():
            await kube.create(OPERATIONS, namespace, operation(name, spec))
        plain, known = [await succeed(kube, namespace, name) for name in ("plain", "known")]
        refused = {
            name: await wait_for(kube, namespace, name, is_final)
            for name in secrets
            if name not in ("plain", "known")
        }
    assert main_log(namespace, plain) == "one\n"
    assert main_log(namespace, known) == "two\nfrom the library\n"
    for body, revision in ((plain, "v1"), (known, "main")):
        (commit,) = [one for one in body["status"]["artifacts"] if one["kind"] == "coderef"]
        assert commit["name"] == git_host.commits[revision]
    for name, words in (
        (
            "wrong-key",
            f"the host does not accept the connection's key; git@{HOST}: Permission denied "
            "(publickey).",
        ),
        ("other-host", "the host's key is not the one in the Secret's known_hosts; "),
        (
            "unknown-host",
            "the host's key is not the one in the Secret's known_hosts; No ED25519 host key is "
            "known for",
        ),
        ("silent", "the host accepts the connection and says nothing; "),
    ):
        status = refused[name]["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "InitFailed"), describe(
            namespace, refused[name]
        )
        assert words in status["message"], name
        assert "PRIVATE KEY" not in status["message"]
