"""Chooses the provider of the cluster: kind where Docker answers, else this machine itself."""

from __future__ import annotations

import os
from typing import Protocol

from tests.cluster.bare import BareCluster
from tests.cluster.cluster import Cluster, state_folder
from tests.cluster.console import Failure
from tests.cluster.kind import KindCluster, docker_answers

CHOICE = "OPSTRAND_CLUSTER_PROVIDER"


class Provider(Protocol):
    """The interface that both providers have.

    `logs_hint`: when the folder of logs is filled, if it is not always.
    """

    logs_hint: str

    def up(self) -> Cluster: ...
    def down(self) -> None: ...
    def build_images(self, *, everything: bool) -> None: ...
    def build_programs(self) -> None: ...
    def problems(self) -> list[str]: ...


def choose_provider(name: str | None = None) -> Provider:
    name = name or os.environ.get(CHOICE) or ("kind" if docker_answers() else "bare")
    if name == "bare":
        return BareCluster(state_folder())
    if name == "kind":
        return KindCluster(state_folder())
    raise Failure(f"{CHOICE} is {name}; it may be bare or kind")
