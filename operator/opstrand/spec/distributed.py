"""`run` of the distributed kinds: mpijob, tfjob, pytorchjob, raycluster, daskcluster.

Owns the keys. Must not know the operators that run them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from opstrand.spec.job import PodParts
from opstrand.spec.kubernetes.parts import Kubernetes
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Text, Whole
from opstrand.spec.section import Section

CleanPodPolicy = Annotated[Literal["All", "Running", "None"], OR_TEMPLATE]


class Replica(PodParts):
    """One role of a distributed run: one Pod, or several equal ones."""

    replicas: Whole | None = Field(
        None, description="How many Pods have this role. Default: 1.", examples=[4]
    )


class SchedulingPolicy(Section):
    """How the Pods of a run are scheduled together."""

    min_available: Whole | None = Field(
        None, description="Pods that must fit at once before any starts.", examples=[4]
    )
    queue: Text | None = Field(
        None, description="Queue of the gang scheduler.", examples=["default"]
    )
    min_resources: Annotated[int | dict[str, Any], OR_TEMPLATE] | None = Field(
        None, description="Resources that must be free before any starts.", examples=[{"cpu": 8}]
    )
    priority_class: Text | None = Field(
        None, description="Priority class of the group.", examples=["high"]
    )
    schedule_timeout_seconds: Whole | None = Field(
        None, description="Seconds to wait for room.", examples=[300]
    )


class KubeflowJob(Section):
    """What the kubeflow kinds share."""

    clean_pod_policy: CleanPodPolicy | None = Field(
        None, description="Which Pods are removed when the run ends.", examples=["Running"]
    )
    scheduling_policy: Annotated[SchedulingPolicy, OR_TEMPLATE] | None = Field(
        None, description="How the Pods are scheduled together.", examples=[{"minAvailable": 4}]
    )


ReplicaPart = Annotated[Replica, OR_TEMPLATE]


class MPIJob(KubeflowJob):
    """A launcher that starts workers over MPI."""

    kind: Literal["mpijob"] = Field(
        "mpijob", description="The kind of the runtime.", examples=["mpijob"]
    )
    slots_per_worker: Whole | None = Field(
        None, description="Processes on each worker. Default: 1.", examples=[2]
    )
    launcher: ReplicaPart | None = Field(
        None, description="The Pod that starts the others.", examples=[{"replicas": 1}]
    )
    worker: ReplicaPart | None = Field(
        None, description="The Pods that work.", examples=[{"replicas": 4}]
    )


class TFJob(KubeflowJob):
    """TensorFlow with its roles."""

    kind: Literal["tfjob"] = Field(
        "tfjob", description="The kind of the runtime.", examples=["tfjob"]
    )
    enable_dynamic_worker: Flag | None = Field(
        None, description="Whether workers may come and go.", examples=[False]
    )
    success_policy: Text | None = Field(
        None, description="When the run counts as succeeded.", examples=["AllWorkers"]
    )
    chief: ReplicaPart | None = Field(
        None, description="The Pod that coordinates.", examples=[{"replicas": 1}]
    )
    ps: ReplicaPart | None = Field(
        None, description="The parameter servers.", examples=[{"replicas": 2}]
    )
    worker: ReplicaPart | None = Field(
        None, description="The Pods that work.", examples=[{"replicas": 4}]
    )
    evaluator: ReplicaPart | None = Field(
        None, description="The Pod that evaluates.", examples=[{"replicas": 1}]
    )


class ElasticPolicy(Section):
    """Settings of an elastic PyTorch run."""

    min_replicas: Whole | None = Field(None, description="Fewest workers.", examples=[1])
    max_replicas: Whole | None = Field(None, description="Most workers.", examples=[8])
    rdvz_backend: Text | None = Field(None, description="Rendezvous backend.", examples=["c10d"])
    rdvz_port: Whole | None = Field(None, description="Rendezvous port.", examples=[29400])
    rdvz_host: Text | None = Field(None, description="Rendezvous host.", examples=["etcd"])
    rdvz_id: Text | None = Field(None, description="Rendezvous id.", examples=["run"])
    rdvz_conf: Annotated[list[dict[str, Any]], OR_TEMPLATE] | None = Field(
        None, description="Rendezvous settings.", examples=[[{"key": "timeout", "value": "900"}]]
    )
    standalone: Flag | None = Field(None, description="Whether one node is all.", examples=[False])
    n_proc_per_node: Whole | None = Field(None, description="Processes on each node.", examples=[2])
    max_restarts: Whole | None = Field(
        None, description="Restarts of the worker group.", examples=[3]
    )
    metrics: Annotated[list[dict[str, Any]], OR_TEMPLATE] | None = Field(
        None,
        alias="Metrics",
        description="Metrics that scale it.",
        examples=[[{"type": "Resource"}]],
    )


class PytorchJob(KubeflowJob):
    """PyTorch with a master and workers."""

    kind: Literal["pytorchjob"] = Field(
        "pytorchjob", description="The kind of the runtime.", examples=["pytorchjob"]
    )
    elastic_policy: Annotated[ElasticPolicy, OR_TEMPLATE] | None = Field(
        None,
        description="Settings of an elastic run.",
        examples=[{"minReplicas": 1, "maxReplicas": 4}],
    )
    n_proc_per_node: Whole | None = Field(
        None, description="Processes on each node. Default: 1.", examples=[2]
    )
    master: ReplicaPart | None = Field(
        None, description="The Pod that coordinates.", examples=[{"replicas": 1}]
    )
    worker: ReplicaPart | None = Field(
        None, description="The Pods that work.", examples=[{"replicas": 4}]
    )


class RayReplica(Replica):
    """The head or one group of workers of a Ray cluster."""

    min_replicas: Whole | None = Field(None, description="Fewest Pods.", examples=[1])
    max_replicas: Whole | None = Field(None, description="Most Pods.", examples=[8])
    ray_start_params: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None, description="Arguments of `ray start`.", examples=[{"num-cpus": "4"}]
    )


class RayAutoscaler(Section):
    """Options of Ray's own autoscaler."""

    upscaling_mode: Text | None = Field(
        None, description="How fast it grows.", examples=["Default"]
    )
    image_pull_policy: Text | None = Field(
        None, description="When its image is pulled.", examples=["IfNotPresent"]
    )
    resources: Annotated[dict[str, Any], Kubernetes("ResourceRequirements"), OR_TEMPLATE] | None = (
        Field(
            None, description="Resources of the autoscaler.", examples=[{"limits": {"cpu": "500m"}}]
        )
    )


class RayCluster(Section):
    """A Ray cluster, and the program that runs on it."""

    kind: Literal["raycluster"] = Field(
        "raycluster", description="The kind of the runtime.", examples=["raycluster"]
    )
    entrypoint: Text | None = Field(
        None, description="The command to run on the cluster.", examples=["python train.py"]
    )
    runtime_env: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None, description="Ray's runtime environment.", examples=[{"pip": ["numpy"]}]
    )
    metadata: Annotated[dict[str, Any], OR_TEMPLATE] | None = Field(
        None, description="Metadata of the Ray job.", examples=[{"team": "vision"}]
    )
    ray_version: Text | None = Field(
        None, description="Version of Ray in the image.", examples=["2.9.0"]
    )
    head: Annotated[RayReplica, OR_TEMPLATE] | None = Field(
        None, description="The head.", examples=[{"replicas": 1}]
    )
    workers: dict[Text, Annotated[RayReplica, OR_TEMPLATE]] | None = Field(
        None, description="Groups of workers by name.", examples=[{"small": {"replicas": 2}}]
    )
    enable_in_tree_autoscaling: Flag | None = Field(
        None, description="Whether Ray scales itself.", examples=[True]
    )
    autoscaler_options: Annotated[RayAutoscaler, OR_TEMPLATE] | None = Field(
        None, description="Options of that autoscaler.", examples=[{"upscalingMode": "Default"}]
    )


class DaskCluster(Section):
    """A Dask cluster: a scheduler and workers."""

    kind: Literal["daskcluster"] = Field(
        "daskcluster", description="The kind of the runtime.", examples=["daskcluster"]
    )
    scheduler: ReplicaPart | None = Field(
        None, description="The scheduler.", examples=[{"replicas": 1}]
    )
    worker: ReplicaPart | None = Field(None, description="The workers.", examples=[{"replicas": 4}])
    min_replicas: Whole | None = Field(None, description="Fewest workers.", examples=[1])
    max_replicas: Whole | None = Field(None, description="Most workers.", examples=[8])
