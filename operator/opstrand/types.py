"""Type names for data that every package uses: Kubernetes objects as plain data.

Owns no behaviour but how to read an object's key. Must import nothing of ours. Each TypedDict lists
the keys that the package reads, with the API's own names. Every key may be absent (Kubernetes omits
what is empty), and null in what a person or another program wrote: `.get(key) or ...`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

#: A Kubernetes object that is created or changed, as in its JSON.
Manifest = dict[str, Any]
#: A Kubernetes object that is only read.
Body = Mapping[str, Any]
#: Namespace and name.
Key = tuple[str, str]
#: The operations of a JSON patch (RFC 6902).
JsonPatch = list[dict[str, Any]]


class OwnerReference(TypedDict, total=False):
    """The object that another one is deleted with."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool
    blockOwnerDeletion: bool


class ObjectMeta(TypedDict, total=False):
    """The metadata of an object; times are RFC 3339 texts."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    deletionGracePeriodSeconds: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ownerReferences: Sequence[OwnerReference]


def key_of(body: Body) -> Key:
    """Return the key (namespace, name) of an object in the cluster."""
    metadata: ObjectMeta = body["metadata"]
    return metadata["namespace"], metadata["name"]


class EnvVar(TypedDict, total=False):
    """A variable of a container. One without `value` is read from elsewhere."""

    name: str
    value: str


class Resources(TypedDict, total=False):
    """What a container asks for and may use: quantities by the name of the resource."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


class Container(TypedDict, total=False):
    """A container in a Pod's spec, as far as it is read."""

    name: str
    image: str
    env: Sequence[EnvVar]
    resources: Resources
    restartPolicy: str


class SchedulingGate(TypedDict, total=False):
    """What holds a Pod back from the scheduler."""

    name: str


class PodSpec(TypedDict, total=False):
    """The spec of a Pod, as far as it is read."""

    nodeName: str
    activeDeadlineSeconds: int
    schedulingGates: Sequence[SchedulingGate]
    containers: Sequence[Container]
    initContainers: Sequence[Container]


class ContainerStateWaiting(TypedDict, total=False):
    """Why a container does not run yet."""

    reason: str
    message: str


class ContainerStateRunning(TypedDict, total=False):
    """Since when a container runs."""

    startedAt: str


class ContainerStateTerminated(TypedDict, total=False):
    """How a container ended."""

    exitCode: int
    reason: str
    message: str
    startedAt: str
    finishedAt: str


class ContainerState(TypedDict, total=False):
    """One of the three."""

    waiting: ContainerStateWaiting
    running: ContainerStateRunning
    terminated: ContainerStateTerminated


class ContainerStatus(TypedDict, total=False):
    """An entry of containerStatuses or initContainerStatuses."""

    name: str
    image: str
    state: ContainerState
    lastState: ContainerState
    restartCount: int
    started: bool


class PodCondition(TypedDict, total=False):
    """A condition of a Pod."""

    type: str
    status: str
    reason: str
    message: str


class PodStatus(TypedDict, total=False):
    """The status of a Pod, as far as it is read."""

    phase: str
    reason: str
    message: str
    startTime: str
    conditions: Sequence[PodCondition]
    containerStatuses: Sequence[ContainerStatus]
    initContainerStatuses: Sequence[ContainerStatus]


class Pod(TypedDict, total=False):
    """A Pod that is only read."""

    metadata: ObjectMeta
    spec: PodSpec
    status: PodStatus


class Event(TypedDict, total=False):
    """A core/v1 Event about a Pod, as far as it is read."""

    reason: str
    message: str
    lastTimestamp: str
    eventTime: str


class Condition(TypedDict, total=False):
    """A condition of an Operation or a Deployment, by the rules of metav1.Condition."""

    type: str
    status: str
    reason: str
    message: str
    lastTransitionTime: str


class DeploymentStatus(TypedDict, total=False):
    """The status of a Deployment, as far as it is read."""

    conditions: Sequence[Condition]


class Deployment(TypedDict, total=False):
    """A Deployment that is only read."""

    metadata: ObjectMeta
    status: DeploymentStatus


class RecordedPod(TypedDict, total=False):
    """`status.pod`: the Pod of the current attempt, or the first replica of a service."""

    name: str
    uid: str
    node: str


class ServiceFacts(TypedDict, total=False):
    """`status.service`: what clients need to reach a service, and its Pods."""

    name: str
    host: str
    baseUrl: str
    ports: Sequence[int]
    replicas: int
    pods: Sequence[RecordedPod]


class Retries(TypedDict, total=False):
    """`status.retries`: how many of them each budget has spent."""

    failures: int
    disruptions: int


class Termination(TypedDict, total=False):
    """`status.termination`: a limit is a number, or the text that a template gave for one."""

    maxRetries: float | str | None
    timeout: float | str | None
    ttl: float | str | None
    culling: Mapping[str, Any] | None
    probe: Mapping[str, Any] | None
    podFailurePolicy: Mapping[str, Any] | None


class ChildrenFacts(TypedDict, total=False):
    """`status.children`: a letter for each child of a pipeline, and counts."""

    total: int
    concurrency: int
    summary: str
    states: str
    at: str
    succeeded: int
    failed: int
    running: int
    failures: Sequence[Mapping[str, str]]


class SearchFacts(TypedDict, total=False):
    """`status.search`: what a matrix froze of its search, and the results so far."""

    kind: str
    seed: int
    metric: str
    minimize: bool
    isNeeded: bool
    missing: int
    earlyStopping: Sequence[Mapping[str, Any]]
    results: str
    promotions: str


class TickFacts(TypedDict, total=False):
    """An entry of `status.schedule.active`, or of `results` with how it ended."""

    at: str
    name: str
    phase: str
    reason: str
    message: str


class ScheduleFacts(TypedDict, total=False):
    """`status.schedule`: the schedule as it is rendered, and what became of its ticks."""

    written: Mapping[str, Any]
    generation: int
    #: The ticks up to this moment were run or missed.
    handled: str
    next: str
    runs: int
    succeeded: int
    failed: int
    missed: int
    #: The newest ticks that were missed are between `from` and `to`.
    gap: Mapping[str, str]
    active: Sequence[TickFacts]
    results: Sequence[TickFacts]


class BestRun(TypedDict, total=False):
    """`status.best`: the run of a matrix with the best metric."""

    name: str
    uuid: str
    value: float


class HistoryStep(TypedDict, total=False):
    """An entry of `status.history`; `status` is the published client's name for the phase."""

    status: str
    reason: str
    message: str
    at: str


class UpstreamEdge(TypedDict, total=False):
    """An entry of `status.upstream`: a run that this one refers to, and what it took from it."""

    uuid: str
    name: str
    kind: str
    values: Mapping[str, Any]
    original: str


class RecordedArtifact(TypedDict, total=False):
    """An entry of `status.artifacts`."""

    name: str
    kind: str
    path: str
    isInput: bool
    #: Of any type: what the program said about it.
    summary: object


class RunStatus(TypedDict, total=False):
    """The status of an Operation as `core.recorded.read_status` returns it.

    Anyone with the rights can write any status; `read_status` drops what has another shape than
    this. Values that users name are of any type.
    """

    uuid: str
    #: Of any type: `read_status` does not check these two.
    name: object
    archived: object
    kind: str
    phase: str
    reason: str
    message: str
    description: str
    observedGeneration: int
    startedAt: str
    finishedAt: str
    resumedAt: str
    resume: int
    round: int
    duration: float
    elapsed: str
    progress: float | None
    attempt: int
    platformRetries: int
    podDigest: str
    pod: RecordedPod
    service: ServiceFacts
    children: ChildrenFacts
    inherited: Mapping[str, Any]
    search: SearchFacts
    best: BestRun
    cacheKey: str
    cache: Mapping[str, Any]
    original: Mapping[str, Any]
    schedule: ScheduleFacts
    hooks: Mapping[str, Any]
    retries: Retries
    termination: Termination
    inputs: Mapping[str, Any]
    reportedInputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    frozenOutputs: Mapping[str, Any]
    meta: Mapping[str, Any]
    component: Mapping[str, Any]
    components: Mapping[str, Any]
    catalog: Mapping[str, Any]
    tags: Sequence[str]
    artifacts: Sequence[RecordedArtifact]
    upstream: Sequence[UpstreamEdge]
    history: Sequence[HistoryStep]
    conditions: Sequence[Condition]


class OperationBody(TypedDict, total=False):
    """An Operation as stored.

    Its `spec` is a polyaxonfile, which `spec` validates; its `status` may be anything until
    `core.recorded.read_status` has read it.
    """

    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: Mapping[str, Any]
    status: Any
