"""A node whose kubelet is kwok: it accepts Pods, reports that they run, and goes silent on request.

The scheduler, the node lifecycle and the Pod collection are the real ones of the cluster; only the
containers are fake. It works on any cluster that a kubeconfig leads to. Only Pods with its
`selector` and `toleration` are scheduled there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.processes import Guard, Process
from tests.cluster.programs import kubectl, program

STAGES = Path(__file__).with_suffix(".yaml")
#: The duration of a kubelet's lease. A node that does not renew it is treated as lost, after the
#: controller manager's own delay.
LEASE_SECONDS = 40
_LABEL = "opstrand.test/fake-node"


class FakeNode:
    """One node and its kubelet; a context manager. The log is written to `folder`."""

    def __init__(
        self, kubeconfig: str, name: str, folder: Path, *, cpu: str = "4", memory: str = "4Gi"
    ) -> None:
        self.kubeconfig, self.name = kubeconfig, name
        self._room = {"cpu": cpu, "memory": memory, "pods": "10"}
        self._kubelet = Process(folder, f"kwok-{name}")
        self._guard: Guard | None = None

    @property
    def selector(self) -> dict[str, str]:
        return {_LABEL: self.name}

    @property
    def toleration(self) -> dict[str, Any]:
        return {"key": _LABEL, "operator": "Equal", "value": self.name, "effect": "NoSchedule"}

    def __enter__(self) -> FakeNode:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.fall_silent()
        self.delete()

    def fall_silent(self) -> None:
        """Simulate a machine that is gone: its lease is not renewed and its Pods do not end."""
        if self._guard:
            self._guard.dismiss()
            self._guard = None
        self._kubelet.stop()

    def delete(self) -> None:
        """Delete the Node object, as a cloud does once it knows that the machine will not come
        back.
        """
        self._kubectl("delete", "node", self.name, "--ignore-not-found", "--wait=false")

    def _start(self) -> None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {"kubernetes.io/os": "linux", **self.selector},
            },
            "spec": {"taints": [{"key": _LABEL, "value": self.name, "effect": "NoSchedule"}]},
            "status": {"allocatable": self._room, "capacity": self._room},
        }
        self._kubectl("create", "-f", "-", stdin=json.dumps(node))
        arguments = [
            f"--manage-single-node={self.name}",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            "--node-ip=192.0.2.1",
        ]
        command: list[str | Path] = [
            program("kwok"),
            f"--kubeconfig={self.kubeconfig}",
            f"--config={STAGES}",
            "--cidr=198.51.100.0/24",
            *arguments,
        ]
        # Without its own home kwok would read the configuration of its user.
        self._kubelet.folder.mkdir(parents=True, exist_ok=True)
        self._kubelet.start(
            command,
            env={
                **os.environ,
                "HOME": str(self._kubelet.folder),
                "KWOK_WORKDIR": str(self._kubelet.folder),
            },
        )
        self._guard = Guard([pid] if (pid := self._kubelet.pid()) else [])
        deadline = time.monotonic() + 30
        # Ready is not enough: nothing is scheduled there until the cluster has removed its own
        # taint.
        wanted = f"Running {_LABEL}"
        while (
            self._kubectl(
                "get", "node", self.name, "-o", "jsonpath={.status.phase} {.spec.taints[*].key}"
            )
            != wanted
        ):
            self._kubelet.require_running()
            assert time.monotonic() < deadline, (
                f"the node was not ready: {self._kubelet.read_log()}"
            )
            time.sleep(0.2)

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        words = [kubectl(), "--kubeconfig", self.kubeconfig, *arguments]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout
