"""Removes what a cluster leaves on the machine, after an orderly stop and after a crash alike.

Owns finding and removing it, each thing by a proof that it is ours: processes by their mark,
containers by the runtime's own record in the state folder, network namespaces by the CNI record of
our network. Must not touch anything without such a proof.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.console import run
from tests.cluster.node import BRIDGE, NETWORK, bridge_owner
from tests.cluster.processes import find_marked, send, wait_for_end
from tests.cluster.programs import system_command

CNI_RECORDS = Path("/var/lib/cni/results")
NAMESPACES = "/var/run/netns/cni-"
LOG_LINKS = Path("/var/log/containers")
CGROUPS = Path("/sys/fs/cgroup")
POD_CGROUP = "kubepods"
PROXY_TABLE = "kube-proxy"
TRASH = ".trash-"
KEPT = ("logs", "audit.log")  # they show why a cluster ended


def sweep(folder: Path, *, keep_logs: bool = False) -> None:
    """Remove everything of the state folder's cluster.

    Safe to repeat, and after a kill at any moment.
    """
    kill(find_marked(folder))  # at once: there is nothing to save
    kill_containers(folder)
    if bridge_owner() == folder:
        remove_pod_cgroups()
        remove_network()
    unmount_below(folder)
    remove_log_links(folder)
    remove_state(folder, KEPT if keep_logs else ())


def kill(pids: list[int]) -> None:
    send(pids, signal.SIGKILL)
    wait_for_end(pids, 10.0)


def container_pids(folder: Path) -> list[int]:
    """Return the first processes of the containers that the runtime recorded, if they are still in
    a cgroup of Pods.
    """
    found = []
    for record in (folder / "containerd" / "state").glob(
        "io.containerd.runtime.v2.task/*/*/init.pid"
    ):
        with contextlib.suppress(OSError, ValueError):
            pid = int(record.read_text())
            if record.parent.name in Path(f"/proc/{pid}/cgroup").read_text():
                found.append(pid)
    return found


def kill_containers(folder: Path) -> None:
    """Kill the first process of each PID namespace; the kernel ends the others with it."""
    kill(container_pids(folder))


def remove_network() -> None:
    """Remove all of our network, by its name. The bridge is removed last, because it is the
    proof.
    """
    for record in CNI_RECORDS.glob(f"{NETWORK}-*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = json.loads(record.read_text())
            for interface in content["result"]["interfaces"]:
                remove_namespace(interface.get("sandbox", ""))
            # its loopback has its own record
            for beside in CNI_RECORDS.glob(f"*-{content['containerId']}-*"):
                beside.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
    remove_bridge()


def remove_namespace(path: str) -> None:
    if path.startswith(NAMESPACES):
        run(["umount", "--lazy", path], check=False)
        Path(path).unlink(missing_ok=True)


def remove_bridge() -> None:
    """Remove the proxy's tables and our bridge. Call it only if the bridge is ours: the tables of
    another kube-proxy have the same names.
    """
    for family in ("ip", "ip6"):
        run([system_command("nft"), "delete", "table", family, PROXY_TABLE], check=False)
    run([system_command("ip"), "link", "delete", BRIDGE], check=False)


def remove_log_links(folder: Path) -> None:
    """Remove the kubelet's links to container logs, which are in a place that is not
    configurable.
    """
    for link in LOG_LINKS.glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(f"{folder}/"):
            link.unlink(missing_ok=True)


def unmount_below(folder: Path) -> None:
    """Unmount the deepest first, and lazily: the kubelet bind-mounts its folder onto itself, and a
    dead container may hold a mount.
    """
    inside = f"{folder}/"
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted(
        {point for point in points if point.startswith(inside)}, key=len, reverse=True
    ):
        run(["umount", "--lazy", point], check=False)


def remove_pod_cgroups() -> None:
    """Remove empty cgroups; the kernel refuses one that still has a process."""
    for hierarchy in [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]:
        top = hierarchy / POD_CGROUP
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def remove_state(folder: Path, kept: Iterable[str]) -> None:
    """Rename the folder at once and delete it from the disk in the background: unpacked images are
    a hundred thousand files.
    """
    if not folder.exists():
        return
    trash = Path(tempfile.mkdtemp(prefix=TRASH, dir=folder))
    for path in folder.iterdir():
        if path.name not in kept and not path.name.startswith(TRASH):
            path.rename(trash / path.name)
    everything = [str(path) for path in folder.glob(f"{TRASH}*")]
    subprocess.Popen(
        ["rm", "-rf", *everything],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
