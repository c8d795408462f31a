"""The one node of the bare-machine cluster: bridge, container runtime, kubelet, service proxy,
cluster DNS.

Owns their configuration files, addresses and order of start. Needs root. Must not clean up after
itself: `leftovers` does, so that a crash and an orderly stop end the same way.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.certificates import Pair
from tests.cluster.console import run
from tests.cluster.control_plane import ControlPlane, wait_until
from tests.cluster.images import PAUSE
from tests.cluster.processes import Process
from tests.cluster.programs import CNI_PLUGINS, program, system_command, system_environment
from tests.cluster.registry import split_name, write_mirrors

NAME = "node1"
BRIDGE = "opstrand0"
ADDRESS = "10.88.0.1"  # of the host for Pods, and of the API server
POD_NETWORK = "10.88.0.0/16"
FIRST_POD = "10.88.1.0"  # the addresses below it are for the host
NETWORK = "opstrand-cluster"
ORDER = ("containerd", "kubelet", "kube-proxy", "coredns")

CONTAINERD = """\
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lowering a score takes a capability that a container or a small virtual machine may lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/mirrors"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

COREFILE = """\
.:53 {{
  bind {address}
  errors
  cache 1
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
  }}
}}
"""


class Node:
    """Node `node1` of a control plane, its state in the same folder."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane
        self.folder = control_plane.folder
        self.processes = {name: Process(self.folder, name) for name in ORDER}

    def start_runtime(self) -> None:
        write_cni_network(self.folder)
        write_mirrors(self.folder / "mirrors")
        settings = CONTAINERD.format(folder=self.folder, pause=PAUSE.name, plugins=CNI_PLUGINS)
        configuration = self._write("containerd.toml", settings)
        self.processes["containerd"].start(
            [system_command("containerd"), "--config", configuration], env=system_environment()
        )
        self._wait(
            "containerd", lambda: run([*self._client(), "version"], check=False).returncode == 0
        )

    def start(self) -> None:
        """Start everything that needs the API server."""
        self.start_kubelet()
        self.start_proxy()
        self.start_dns()

    def start_kubelet(self) -> None:
        plane = self.control_plane
        serving = plane.authority.issue("kubelet-serving", f"/CN={NAME}", [ADDRESS, NAME])
        kubeconfig = plane.user(f"system:node:{NAME}", ["system:nodes"])
        configuration = self._write(
            "kubelet.json", json.dumps(self._kubelet_settings(serving), indent=1)
        )
        self.processes["kubelet"].start([
            program("kubelet"), f"--config={configuration}", f"--kubeconfig={kubeconfig}",
            f"--cert-dir={self.folder / 'pki'}",
            f"--root-dir={self.folder / 'kubelet'}", f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}",
        ], env=system_environment())  # fmt: skip

    def start_proxy(self) -> None:
        configuration = self._write("kube-proxy.json", json.dumps(self._proxy_settings(), indent=1))
        command: list[str | Path] = [
            program("kube-proxy"),
            f"--config={configuration}",
            f"--hostname-override={NAME}",
        ]
        self.processes["kube-proxy"].start(command, env=system_environment())

    def start_dns(self) -> None:
        # The published role of CoreDNS is a page of YAML; as an administrator it can read the same
        # names.
        corefile = self._write(
            "Corefile", COREFILE.format(address=ADDRESS, kubeconfig=self.control_plane.kubeconfig)
        )
        self.processes["coredns"].start([program("coredns"), "-conf", corefile])
        self._wait("coredns", lambda: can_connect(ADDRESS, 53))

    def _kubelet_settings(self, serving: Pair) -> dict[str, Any]:
        # Pods use the cluster's DNS, which has no upstream
        no_resolver = self._write("resolv.conf", "")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.control_plane.authority_file)},
            },
            "authorization": {"mode": "Webhook"},
            "address": ADDRESS,
            "healthzPort": 0,
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "containerRuntimeEndpoint": f"unix://{self.folder}/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(self.folder / "pod-logs"),
            "resolvConf": str(no_resolver),
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "maxPods": 500,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "eventRecordQPS": 200,
            "eventBurst": 400,
            "registryPullQPS": 0,
            "serializeImagePulls": False,
            # A developer's disk is often nearly full; the kubelet must not evict Pods or images for
            # that.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
        }

    def _proxy_settings(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.control_plane.user("system:kube-proxy"))},
            "clusterCIDR": POD_NETWORK,
            "mode": "nftables",
            "oomScoreAdj": 0,
            "healthzBindAddress": "",
            "metricsBindAddress": "",
            # Keep the kernel's own limits: a container may not be allowed to change them.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }

    def forget_image(self, name: str) -> None:
        """Remove an image from the node. With the usual pull policy the next Pod then pulls the new
        content.
        """
        if not self.processes["containerd"].is_running():
            return
        images = [*self._client(), "--namespace", "k8s.io", "images"]
        ending = "/{}:{}".format(*split_name(name))  # the runtime adds the host to a short name
        held = [
            line
            for line in run([*images, "list", "--quiet"]).stdout.split()
            if line.endswith(ending)
        ]
        if held:
            run([*images, "remove", *held])

    def _client(self) -> list[str | Path]:
        return [system_command("ctr"), "--address", self.folder / "containerd.sock"]

    def _write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content)
        return path

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        wait_until(is_ready, f"{name} was not ready", self.processes[name])


def make_bridge(owner: Path) -> None:
    """Make the bridge before everything else: the API server and the kubelet use its address,
    because the kubelet refuses loopback.
    """
    ip = system_command("ip")
    # an old one without an owner: its maker died between the next two lines
    run([ip, "link", "delete", BRIDGE], check=False)
    run([ip, "link", "add", BRIDGE, "type", "bridge"])
    run([ip, "link", "set", BRIDGE, "alias", owner])  # so that no other sweep removes it
    run([ip, "address", "add", f"{ADDRESS}/{POD_NETWORK.split('/')[1]}", "dev", BRIDGE])
    run([ip, "link", "set", BRIDGE, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not filtered.exists():
        run(["modprobe", "br_netfilter"], env=system_environment(), check=False)
    if filtered.exists():  # else no Service reaches a Pod of the same bridge
        filtered.write_text("1")


def bridge_owner() -> Path | None:
    """Return the state folder of the cluster that owns the existing bridge."""
    try:
        owner = Path(f"/sys/class/net/{BRIDGE}/ifalias").read_text().strip()
    except OSError:
        return None
    return Path(owner) if owner else None


def write_cni_network(folder: Path) -> None:
    ranges = [[{"subnet": POD_NETWORK, "rangeStart": FIRST_POD}]]
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        # Pods have no route out: a test that reaches the world by accident fails here first.
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder / "cni-addresses"),
            "ranges": ranges,
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    network = {"cniVersion": "1.0.0", "name": NETWORK, "plugins": [bridge]}
    (folder / "cni").mkdir(parents=True, exist_ok=True)
    (folder / "cni" / "network.conflist").write_text(json.dumps(network, indent=1))


def can_connect(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
