"""Validate the user's part of a Pod, with paths in the messages, before anything is sent.

Owns the rules for one plan: types of values, names, volumes that mounts refer to, sizes of
environments. What only a cluster knows (quota, admission, a missing Secret) is reported by the API
server and the kubelet. Must not change the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from opstrand.core import names
from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.limits import (
    CONTAINERS,
    ENV,
    ENV_ENTRIES,
    ENV_VALUE,
    POD,
    describe_size,
    measure,
)
from opstrand.core.planning.plan import Plan
from opstrand.core.planning.service_globals import KIND
from opstrand.core.pods.container_rules import check_containers
from opstrand.core.pods.environment_rules import check_environment, check_object
from opstrand.core.pods.init_rules import find_faults
from opstrand.core.pods.nul import find_nuls
from opstrand.core.pods.service import validate_service
from opstrand.core.pods.termination_rules import (
    validate_failure_policy,
    validate_limits,
    validate_restarts,
)
from opstrand.core.pods.volume_names import (
    ARTIFACTS,
    CONFIGS,
    OURS,
    TOKEN,
    asks_for_store,
    connection_names,
    own_volumes_by_name,
)
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.kubernetes.names import LABEL, VARIABLE, is_label, is_label_value, is_variable
from opstrand.spec.problems import describe
from opstrand.text import suggest

#: Where the run's own volumes are mounted in every container, and the volume at each path.
_RESERVED = {
    ARTIFACTS_PATH: ARTIFACTS,
    f"{CONTEXT_ROOT}/.configs": CONFIGS,
    f"{CONTEXT_ROOT}/.token": TOKEN,
}
#: Folders that the image of the operator's init containers needs to run (see the Dockerfile).
_OF_THE_IMAGE: tuple[str, ...] = (
    "/opt/opstrand",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/bin",
    "/usr/lib",
    "/bin",
    "/lib",
    "/lib64",
    "/etc",
    "/dev",
    "/proc",
    "/sys",
)
#: The label by which Kueue finds the Pods of a queue.
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
#: Variables of the published environment: a run has those that are read in it.
RUN_VARIABLES = frozenset(
    {
        "POLYAXON_K8S_NODE_NAME",
        "POLYAXON_K8S_NAMESPACE",
        "POLYAXON_K8S_POD_ID",
        "POLYAXON_HOST",
        "POLYAXON_IS_MANAGED",
        "POLYAXON_API_VERSION",
        "POLYAXON_RUN_INSTANCE",
        "POLYAXON_HEADER",
        "POLYAXON_HEADER_SERVICE",
        "POLYAXON_CONTEXT_ROOT",
        "POLYAXON_COLLECT_ARTIFACTS",
        "POLYAXON_COLLECT_RESOURCES",
    }
)


def check_plan(plan: Plan, *, is_built: bool = False) -> None:
    """Raise SpecError with all problems of the Pod that the plan describes.

    `is_built`: a build provides the main image.
    """
    if plan.condition is False:
        return
    # A plan that is too large is not checked in detail: that would take too long.
    problems = list(_validate_size(plan)) or list(
        islice(_validate_parts(plan, is_built=is_built), MAX_PROBLEMS)
    )
    if problems:
        raise SpecError.of(problems)


def _validate_parts(plan: Plan, *, is_built: bool) -> Iterator[Problem]:
    yield from _validate_main(plan, is_built=is_built)
    parts = (
        _validate_others,
        check_containers,
        _validate_init,
        _validate_volumes,
        check_environment,
        _validate_plugins,
        _validate_queue,
        validate_limits,
    )
    of_kind = (
        (validate_service,) if plan.kind == KIND else (validate_restarts, validate_failure_policy)
    )
    for validate_part in (*parts, _validate_nuls, *of_kind):
        yield from validate_part(plan)


#: The approximate size of one of the run's own mounts in a container.
_MOUNT = 120


def _validate_size(plan: Plan) -> Iterator[Problem]:
    """Find what is too large for the cluster before it is rendered.

    Variables and mounts count once for every container that repeats them.
    """
    theirs = [step["container"] for step in plan.init if "container" in step]
    count = len(plan.sidecars) + len(theirs)
    if count > CONTAINERS:
        yield Problem(
            "TooLarge",
            f"there are {count} sidecars and init containers; at most {CONTAINERS} fit into one "
            "Pod",
            "run",
        )
        return
    folders = len({step["path"] for step in plan.init if step.get("path")})
    parts = (plan.container, plan.sidecars, theirs, plan.volumes, plan.environment)
    size = (
        sum(map(measure, parts))
        + (1 + len(plan.sidecars)) * measure(plan.to_env)
        + (2 + count) * folders * _MOUNT
    )
    if size > POD:
        yield Problem(
            "TooLarge",
            f"the Pod would take {describe_size(size)}; at most {describe_size(POD)} fit into the "
            "cluster",
            "run",
        )


def _validate_main(plan: Plan, *, is_built: bool) -> Iterator[Problem]:
    if not plan.container.get("image") and not is_built:
        yield Problem("InvalidSpec", "a container needs an image", "run.container.image")
    yield from _validate_container(
        {**plan.container, "name": names.MAIN_CONTAINER}, "run.container", plan
    )
    yield from _validate_env(plan.container.get("env") or (), plan.to_env, "run.container.env")


def _validate_others(plan: Plan) -> Iterator[Problem]:
    """Validate sidecars and the containers of init steps.

    Their names must be unique in the Pod and not use the operator's prefix.
    """
    seen = {names.MAIN_CONTAINER}
    # A sidecar is always restarted when it ends, whatever it declares.
    always = [
        {**one, "restartPolicy": one.get("restartPolicy") or "Always"} for one in plan.sidecars
    ]
    sidecars = [(one, f"run.sidecars[{index}]", True) for index, one in enumerate(always)]
    steps = [
        (one["container"], f"{path}.container", set(one) == {"container"})
        for one, path in plan.placed_init
        if "container" in one
    ]
    for container, path, is_alone in (*sidecars, *steps):
        yield from _validate_name(container.get("name"), path, seen)
        if is_alone and not container.get("image"):
            yield Problem("InvalidSpec", "a container needs an image", f"{path}.image")
        yield from _validate_container({"name": "x", **container}, path, plan)
        yield from _validate_env(container.get("env") or (), {}, f"{path}.env")


def _validate_name(name: Any, path: str, seen: set[str]) -> Iterator[Problem]:
    if name is None:
        return
    if not isinstance(name, str) or not is_label(name):
        yield Problem("InvalidSpec", f"expected {LABEL}, found {describe(name)}", f"{path}.name")
    elif name in seen or name.startswith((names.INIT_CONTAINER, names.COLLECTOR)):
        yield Problem("InvalidSpec", f"the Pod has a container '{name}' already", f"{path}.name")
    seen.add(str(name))


def _validate_container(container: Mapping[str, Any], path: str, plan: Plan) -> Iterator[Problem]:
    yield from check_object("Container", container, path)
    ours = own_volumes_by_name(plan)
    known = dict.fromkeys(
        (*(str(volume.get("name")) for volume in plan.volumes), *ours, *connection_names(plan))
    )
    taken: dict[str, str] = {}
    mounts = container.get("volumeMounts")
    for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        if not isinstance(mount, Mapping):
            continue  # already reported
        where = f"{path}.volumeMounts[{index}]"
        name, target = mount.get("name"), str(mount.get("mountPath") or "")
        # If the run mounts the artifacts store, any other name may be the store's: that is checked
        # once the catalog is known.
        if isinstance(name, str) and name not in known and not asks_for_store(plan):
            yield Problem(
                "InvalidSpec", f"there is no volume '{name}'{suggest(name, known)}", f"{where}.name"
            )
        target = target.rstrip("/") or target
        if target and (
            target in taken or (target in _RESERVED and _RESERVED[target] != ours.get(str(name)))
        ):
            yield Problem(
                "InvalidSpec", f"something is mounted at {target} already", f"{where}.mountPath"
            )
        taken[target] = where


def _validate_env(
    env: Sequence[Mapping[str, Any]], asked: Mapping[str, str], path: str
) -> Iterator[Problem]:
    """Check the size and the names of a container's variables.

    The kernel starts no program with a larger environment, and its error message explains nothing.
    """
    values = {str(one.get("name")): str(one.get("value") or "") for one in env} | dict(asked)
    if len(values) > ENV_ENTRIES:
        yield Problem(
            "TooLarge", f"there are {len(values)} variables; at most {ENV_ENTRIES} fit", path
        )
    sizes = {
        name: len(f"{name}={value}".encode("utf-8", "backslashreplace"))
        for name, value in values.items()
    }
    for name, size in sizes.items():
        if size > ENV_VALUE:
            yield Problem(
                "TooLarge",
                f"the variable {name} takes {describe_size(size)}; at most "
                f"{describe_size(ENV_VALUE)} fit",
                path,
            )
        if not is_variable(name):
            yield Problem(
                "InvalidSpec", f"{name!r} is no name of a variable: expected {VARIABLE}", path
            )
    for name in sorted(RUN_VARIABLES & set(asked)):
        yield Problem(
            "InvalidSpec",
            f"toEnv asks for {name}, which every run has with a value of its own; use another name",
            path,
        )
    total = sum(sizes.values())
    if total > ENV:
        yield Problem(
            "TooLarge",
            f"the variables take {describe_size(total)}; at most {describe_size(ENV)} fit",
            path,
        )


def _validate_init(plan: Plan) -> Iterator[Problem]:
    for step, path in plan.placed_init:
        yield from find_faults(step, path)
        folder = step.get("path") or ARTIFACTS_PATH
        # The default folder of steps may also be named explicitly.
        if folder != ARTIFACTS_PATH and folder in _RESERVED:
            yield Problem(
                "InvalidSpec", f"something is mounted at {step['path']} already", f"{path}.path"
            )
        if any(one == folder or one.startswith(f"{folder}/") for one in _OF_THE_IMAGE):
            message = (
                f"the init container's own programs are in {step['path']}, and a volume there "
                "would hide them; use another folder"
            )
            yield Problem("InvalidSpec", message, f"{path}.path")


def _validate_nuls(plan: Plan) -> Iterator[Problem]:
    yield from find_nuls(plan.container, "run.container")
    yield from find_nuls(plan.sidecars, "run.sidecars")
    yield from find_nuls(plan.volumes, "run.volumes")
    yield from find_nuls(plan.environment, "run.environment")
    for step, path in plan.placed_init:
        yield from find_nuls(step, path)
    for name, value in plan.to_env.items():
        yield from find_nuls(value, f"run.container.env.{name}")


def _validate_volumes(plan: Plan) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, volume in enumerate(plan.volumes):
        path = f"run.volumes[{index}]"
        yield from check_object("Volume", volume, path)
        name = volume.get("name")
        if not isinstance(name, str):
            continue
        if not is_label(name) or name.startswith(OURS):
            yield Problem(
                "InvalidSpec",
                f"'{name}' is no name for a volume of yours (lower case, not {OURS}…)",
                f"{path}.name",
            )
        elif name in seen:
            yield Problem("InvalidSpec", f"there are two volumes '{name}'", f"{path}.name")
        seen.add(name)


def _validate_plugins(plan: Plan) -> Iterator[Problem]:
    """Refuse plugins that this version would ignore.

    Otherwise a user would wait for a message or a server that never comes.
    """
    for key in ("tmux", "ssh", "sandbox"):
        if plan.plugins.get(key):
            yield Problem(
                "NotSupported", f"'{key}' is not provided by this version", f"plugins.{key}"
            )
    if not isinstance(plan.plugins.get("sidecar") or {}, Mapping):
        yield Problem(
            "InvalidSpec",
            f"expected a mapping, found {describe(plan.plugins['sidecar'])}",
            "plugins.sidecar",
        )


def _validate_queue(plan: Plan) -> Iterator[Problem]:
    if plan.queue and not is_label_value(queue_label(plan.queue)):
        yield Problem(
            "InvalidSpec",
            f"expected the name of a queue, or agent/queue, found {describe(plan.queue)}",
            "queue",
        )


def queue_label(queue: str) -> str:
    """Return the queue of `agent/queue`: this platform has no agents."""
    return queue.rpartition("/")[2]
