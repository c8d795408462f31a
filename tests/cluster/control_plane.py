"""Starts a real API server with its etcd in seconds; any number run side by side. It does
everything but run Pods.

Owns their flags, ports, certificates, audit log and order of start and stop; on request also the
controller manager (default service accounts, garbage collection) and the scheduler. Must not need
root, and must not know about nodes.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import random
import shutil
import socket
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from tests.cluster.certificates import Authority, Pair, signing_key, user_subject, write_kubeconfig
from tests.cluster.console import Failure
from tests.cluster.processes import Guard, Process
from tests.cluster.programs import program

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0  # seconds for a program to become ready on a busy machine
# Below the range from which the kernel takes ports for outgoing connections: the kernel could take
# a port of that range before a server listens on it.
PORTS = range(20000, 30000)
METADATA_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# With the default of 20 requests a second a start takes some 4 s longer.
UNTHROTTLED = ("--kube-api-qps=200", "--kube-api-burst=400")
SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc"


class ControlPlane:
    """etcd and kube-apiserver; a context manager.

        with ControlPlane(audit_policy=METADATA_POLICY) as control_plane:
            client.load(control_plane.kubeconfig)

    Without a folder it makes one and removes it at the end. Inside `with`, the processes end even
    if ours is killed; with `start()` alone they stay, and `ControlPlane(folder).stop()` ends them
    from any other process.
    """

    ORDER: ClassVar[Sequence[str]] = (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    )

    def __init__(
        self,
        folder: Path | None = None,
        *,
        address: str = LOOPBACK,
        port: int | None = None,
        audit_policy: dict[str, Any] | None = None,
        controllers: bool = False,
        scheduler: bool = False,
        flags: Iterable[str] = (),
        host_names: Iterable[str] = (),
    ) -> None:
        self.is_temporary = folder is None
        self.folder = (
            Path(tempfile.mkdtemp(prefix="opstrand-")) if folder is None else folder.absolute()
        )
        self.address, self.port = address, port or free_port(address)
        self.url = f"https://{address}:{self.port}"
        self.audit_policy, self.controllers, self.scheduler = audit_policy, controllers, scheduler
        self.flags, self.host_names = tuple(flags), tuple(host_names)
        self.kubeconfig = self.folder / "kubeconfig"
        self.audit_log = self.folder / "audit.log"
        self.processes = {name: Process(self.folder, name) for name in self.ORDER}
        self._pki = self.folder / "pki"
        self._guard: Guard | None = None

    def __enter__(self) -> ControlPlane:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        self._guard = Guard(pid for process in self.processes.values() if (pid := process.pid()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the API server reports ready and, with controllers, when Pods can be
        created.
        """
        self.start_servers()
        self.wait_for_accounts()

    def start_servers(self) -> None:
        """Start without the wait for default service accounts: a node can start in those few
        seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._issue_certificates()
        self._start_etcd()
        self._start_api_server()
        if self.controllers:
            self._start_controller_manager()
        if self.scheduler:
            self._start_scheduler()

    def wait_for_accounts(self) -> None:
        if self.controllers:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait("kube-controller-manager", lambda: self.get(account)[0] == 200)

    def stop(self) -> None:
        """Stop the API server before etcd: in the other order it waits for a store that is gone."""
        if self._guard:
            self._guard.dismiss()
            self._guard = None
        for name in reversed(self.ORDER):
            self.processes[name].stop()
        if self.is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def user(self, name: str, groups: Iterable[str] = ()) -> Path:
        """Return a kubeconfig for a user known by a client certificate: the common name is the
        user, organisations are the groups.
        """
        file_name = "".join(letter if letter.isalnum() else "-" for letter in name)
        pair = self.authority.issue(f"user-{file_name}", user_subject(name, groups))
        return write_kubeconfig(
            self.folder / "users" / f"{file_name}.kubeconfig", self.url, self.authority_file, pair
        )

    @functools.cached_property
    def authority(self) -> Authority:
        return Authority(self._pki, "cluster-ca")

    @property
    def authority_file(self) -> Path:
        return self.authority.pair.certificate

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a GET as admin; status 0 if no server answers."""
        try:
            context = ssl.create_default_context(cafile=str(self._pki / "cluster-ca.crt"))
            context.load_cert_chain(self._pki / "admin.crt", self._pki / "admin.key")
            with open_directly(self.url + path, context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except (OSError, http.client.HTTPException):
            return 0, b""

    def _issue_certificates(self) -> None:
        self.front_authority = Authority(self._pki, "front-proxy-ca")
        names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        hosts = [LOOPBACK, self.address, "10.96.0.1", *names, *self.host_names]
        self.serving = self.authority.issue("apiserver", "/CN=kube-apiserver", dict.fromkeys(hosts))
        self.front_proxy = self.front_authority.issue(
            "front-proxy-client", "/CN=front-proxy-client"
        )
        self.kubelet_client = self.authority.issue(
            "kubelet-client", user_subject("kube-apiserver", ["system:masters"])
        )
        admin = self.authority.issue("admin", user_subject("admin", ["system:masters"]))
        self.service_account_key = signing_key(self._pki / "service-accounts.key")
        write_kubeconfig(self.kubeconfig, self.url, self.authority_file, admin)

    def _start_etcd(self) -> None:
        self.etcd_url, peer = (f"http://{LOOPBACK}:{free_port(LOOPBACK)}" for _ in range(2))
        self.processes["etcd"].start([
            program("etcd"), f"--data-dir={self.folder / 'etcd'}", "--name=only",
            f"--initial-cluster=only={peer}",
            f"--listen-client-urls={self.etcd_url}", f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            "--unsafe-no-fsync", "--log-level=warn",  # no data here must survive a power cut
        ])  # fmt: skip
        self._wait("etcd", lambda: is_answering(f"{self.etcd_url}/health"))

    def _start_api_server(self) -> None:
        key = self.service_account_key
        self.processes["kube-apiserver"].start([
            program("kube-apiserver"), f"--etcd-servers={self.etcd_url}", "--allow-privileged=true",
            f"--bind-address={self.address}", f"--secure-port={self.port}",
            f"--advertise-address={self.address}",
            # A loopback address must not be published as an endpoint; only the test uses it.
            *(["--endpoint-reconciler-type=none"] if self.address == LOOPBACK else []),
            # Without the controller manager no default service accounts are made, and Pods would be
            # refused for want of one.
            *([] if self.controllers else ["--disable-admission-plugins=ServiceAccount"]),
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--service-account-issuer={SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}", f"--client-ca-file={self.authority_file}",
            f"--cert-dir={self._pki}",
            *certificate_flags("tls-cert-file", "tls-private-key-file", self.serving),
            *certificate_flags(
                "kubelet-client-certificate", "kubelet-client-key", self.kubelet_client
            ),
            "--kubelet-preferred-address-types=InternalIP",  # no DNS has the node's name
            *self._aggregation_flags(), *self._audit_flags(), *self.flags,
        ])  # fmt: skip
        self._wait("kube-apiserver", self.is_ready)

    def _aggregation_flags(self) -> list[str]:
        """Return the flags by which an aggregated API learns the caller: headers that it trusts if
        they come with the front proxy's certificate.
        """
        return [
            f"--requestheader-client-ca-file={self.front_authority.pair.certificate}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *certificate_flags("proxy-client-cert-file", "proxy-client-key-file", self.front_proxy),
        ]

    def _audit_flags(self) -> list[str]:
        if self.audit_policy is None:
            return []
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(self.audit_policy))
        # The size is in MB. Tests that count lines must find all of them in one file.
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=10000",
        ]

    def _start_controller_manager(self) -> None:
        signer = self.authority.pair
        self.processes["kube-controller-manager"].start([
            program("kube-controller-manager"),
            f"--kubeconfig={self.user('system:kube-controller-manager')}",
            "--use-service-account-credentials", f"--root-ca-file={self.authority_file}",
            f"--service-account-private-key-file={self.service_account_key}",
            *certificate_flags("cluster-signing-cert-file", "cluster-signing-key-file", signer),
            "--leader-elect=false", "--allocate-node-cidrs=false", "--secure-port=0", *UNTHROTTLED,
        ])  # fmt: skip

    def _start_scheduler(self) -> None:
        kubeconfig = self.user("system:kube-scheduler")
        flags = ["--leader-elect=false", "--secure-port=0", *UNTHROTTLED]
        self.processes["kube-scheduler"].start(
            [program("kube-scheduler"), f"--kubeconfig={kubeconfig}", *flags]
        )

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        wait_until(is_ready, f"{name} was not ready", self.processes[name])


def certificate_flags(certificate: str, key: str, pair: Pair) -> list[str]:
    return [f"--{certificate}={pair.certificate}", f"--{key}={pair.key}"]


def wait_until(
    is_ready: Callable[[], bool], complaint: str, *processes: Process, patience: float = PATIENCE
) -> None:
    """Poll until the condition holds.

    Raises `Failure` with the end of the log as soon as a process ends, and after the time limit.
    """
    deadline = time.monotonic() + patience
    while not is_ready():
        for process in processes:
            process.require_running()
        if time.monotonic() > deadline:
            raise Failure(
                f"{complaint} after {patience:.0f} s",
                "\n".join(process.read_log() for process in processes),
            )
        time.sleep(0.05)


def is_answering(url: str) -> bool:
    try:
        with open_directly(url) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def open_directly(
    request: str | urllib.request.Request, context: ssl.SSLContext | None = None
) -> http.client.HTTPResponse:
    """Open a URL without any proxy that the environment names: the server is on this machine."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    answer: http.client.HTTPResponse = opener.open(request, timeout=5)
    return answer


def free_port(address: str) -> int:
    """Return a port without a listener, at random, so that several control planes that start at
    once do not pick the same.
    """
    for port in random.sample(PORTS, 50):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            return port
    raise Failure(f"no free port on {address} between {PORTS.start} and {PORTS.stop}")
