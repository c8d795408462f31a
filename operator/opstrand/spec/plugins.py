"""`plugins`: what opstrand adds around the user's container.

Owns the keys. Each default is set where the key is used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from opstrand.spec.kubernetes.parts import Kubernetes
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Text, Whole
from opstrand.spec.section import Section


class Sidecar(Section):
    """Settings of the container that collects a run's files."""

    image: Text | None = Field(
        None, description="Image of the collector.", examples=["registry/collector"]
    )
    image_tag: Text | None = Field(None, description="Tag of that image.", examples=["1.0"])
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When the image is pulled.", examples=["IfNotPresent"]
    )
    sleep_interval: Whole | None = Field(
        None, description="Seconds between two looks at the container.", examples=[10]
    )
    sync_interval: Whole | None = Field(
        None, description="Seconds between two collections.", examples=[10]
    )
    monitor_logs: Flag | None = Field(
        None, description="Whether logs are collected too.", examples=[True]
    )
    monitor_spec: Flag | None = Field(
        None, description="Whether the Pod's description is collected too.", examples=[True]
    )
    no_connections: Flag | None = Field(
        None, description="Keep connections out of user sidecars.", examples=[False]
    )
    resources: Annotated[dict[str, Any], Kubernetes("ResourceRequirements"), OR_TEMPLATE] | None = (
        Field(
            None,
            description="Resources of the collector.",
            examples=[{"limits": {"memory": "200Mi"}}],
        )
    )


class Notification(Section):
    """Notifies connections when the run ends, by a hook of the Component `notifier`."""

    connections: list[Text] = Field(
        description="Names of the connections to notify.", examples=[["slack"]]
    )
    trigger: Text | None = Field(
        None, description="The end to report. Default: done, which is any.", examples=["failed"]
    )


class Plugins(Section):
    """Switches for what surrounds the container."""

    auth: Flag | None = Field(
        None,
        description="Whether the run gets a token for the API. Default: true.",
        examples=[True],
    )
    docker: Flag | None = Field(
        None, description="Mount the node's docker socket. Default: false.", examples=[False]
    )
    shm: Flag | None = Field(
        None, description="Mount a memory volume at /dev/shm. Default: true.", examples=[True]
    )
    client: Flag | None = Field(
        None,
        description="Put the client on PYTHONPATH for images without the package. Ours.",
        examples=[True],
    )
    mount_artifacts_store: Flag | None = Field(
        None,
        description="Mount the whole artifacts store; sets `globals.store_path`.",
        examples=[False],
    )
    collect_artifacts: Flag | None = Field(
        None, description="Collect what the run writes. Default: true.", examples=[True]
    )
    collect_logs: Flag | None = Field(
        None, description="Accepted for compatibility; unused.", examples=[True]
    )
    collect_resources: Flag | None = Field(
        None, description="Record cpu and memory. Default: true.", examples=[True]
    )
    sync_statuses: Flag | None = Field(
        None, description="Accepted for compatibility; unused.", examples=[True]
    )
    auto_resume: Flag | None = Field(
        None, description="Accepted for compatibility; unused.", examples=[True]
    )
    external_host: Flag | None = Field(
        None, description="Reach the API by its outer address.", examples=[False]
    )
    log_level: Text | None = Field(
        None, description="Log level of the client in the container.", examples=["INFO"]
    )
    tmux: Flag | None = Field(
        None,
        description="Provide tmux in the container. Refused by this version.",
        examples=[False],
    )
    sandbox: Flag | None = Field(
        None,
        description="Provide the sandbox tools in the container. Refused by this version.",
        examples=[False],
    )
    ssh: Flag | None = Field(
        None,
        description="Provide an ssh server in the container. Refused by this version.",
        examples=[False],
    )
    sidecar: Annotated[Sidecar, OR_TEMPLATE] | None = Field(
        None,
        description=(
            "Settings of a container that collects files. Accepted for compatibility; unused."
        ),
        examples=[{"syncInterval": 60}],
    )
    notifications: Annotated[list[Notification], OR_TEMPLATE] | None = Field(
        None,
        description="Connections that the Component `notifier` notifies when the run ends.",
        examples=[[{"connections": ["slack"], "trigger": "failed"}]],
    )
