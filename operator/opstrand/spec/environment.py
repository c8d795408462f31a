"""`run.environment`: where the Pod runs, and under which identity.

Owns the keys. The values are copied into the Pod after rendering. Must not know the Pod.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from opstrand.spec.kubernetes.parts import Kubernetes
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Text, Texts, WholeOrText
from opstrand.spec.section import Section


class Environment(Section):
    """Scheduling, identity and labels of the run's Pod."""

    labels: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None,
        description="Labels of the Pod, beside opstrand's own, which win.",
        examples=[{"team": "vision"}],
    )
    annotations: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None,
        description="Annotations of the Pod, beside opstrand's own, which win.",
        examples=[{"note": "nightly"}],
    )
    node_selector: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None, description="Labels that the node must have.", examples=[{"disk": "ssd"}]
    )
    affinity: Annotated[dict[str, Any], Kubernetes("Affinity"), OR_TEMPLATE] | None = Field(
        None, description="Kubernetes affinity of the Pod.", examples=[{"nodeAffinity": {}}]
    )
    tolerations: (
        Annotated[
            list[Annotated[dict[str, Any], Kubernetes("Toleration"), OR_TEMPLATE]], OR_TEMPLATE
        ]
        | None
    ) = Field(
        None,
        description="Taints that the Pod tolerates.",
        examples=[[{"key": "gpu", "operator": "Exists"}]],
    )
    node_name: Text | None = Field(None, description="The one node to run on.", examples=["node-1"])
    service_account_name: Text | None = Field(
        None,
        description="Service account of the Pod. Its token is not mounted.",
        examples=["reader"],
    )
    host_aliases: (
        Annotated[
            list[Annotated[dict[str, Any], Kubernetes("HostAlias"), OR_TEMPLATE]], OR_TEMPLATE
        ]
        | None
    ) = Field(
        None,
        description="Entries of the Pod's /etc/hosts.",
        examples=[[{"ip": "10.0.0.1", "hostnames": ["db"]}]],
    )
    security_context: (
        Annotated[dict[str, Any], Kubernetes("PodSecurityContext"), OR_TEMPLATE] | None
    ) = Field(None, description="Security context of the Pod.", examples=[{"runAsUser": 1000}])
    image_pull_secrets: Texts | None = Field(
        None,
        description="Names of the secrets that the images are pulled with.",
        examples=[["registry"]],
    )
    host_network: Flag | None = Field(
        None, description="Whether the Pod uses the node's network.", examples=[True]
    )
    host_pid: Flag | None = Field(
        None,
        alias="hostPID",
        description="Whether the Pod sees the node's processes.",
        examples=[False],
    )
    dns_policy: Text | None = Field(
        None, description="DNS policy of the Pod.", examples=["ClusterFirst"]
    )
    dns_config: Annotated[dict[str, Any], Kubernetes("PodDNSConfig"), OR_TEMPLATE] | None = Field(
        None, description="DNS settings of the Pod.", examples=[{"nameservers": ["1.1.1.1"]}]
    )
    scheduler_name: Text | None = Field(
        None, description="Scheduler of the Pod.", examples=["volcano"]
    )
    priority_class_name: Text | None = Field(
        None, description="Priority class of the Pod.", examples=["high"]
    )
    priority: WholeOrText | None = Field(None, description="Priority of the Pod.", examples=[100])
    restart_policy: (
        Annotated[Literal["Always", "OnFailure", "Never", "ExitCode"], OR_TEMPLATE] | None
    ) = Field(
        None,
        description=(
            "Never or OnFailure: a failed container is tried again in a new Pod, as often as "
            "`termination.maxRetries` says."
        ),
        examples=["Never"],
    )
