"""Keys of the format that this version accepts without any effect, each with an explanation.

Owns that table: `check`, `run` and the API print what it finds. Keys that are refused are in
`unsupported` and `pods.pod_rules`; keys without effect only in `run --local` are in `local.limits`.
A test goes through every key of every section: one that changes neither the Pod nor the run's
status must be in this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.operation import CompiledOperation

_ONE_COLLECTOR = (
    "the collector is the same for all runs (OPSTRAND_COLLECT_INTERVAL); logs are read from the Pod"
)
_NO_GATEWAY = (
    "nothing is exposed outside of the cluster by this version; it changes globals.base_url alone"
)
_NO_RESULT = "a service gives no result that another run could take"
_CACHE_IS_OFF = (
    "only a run of a pipeline takes an earlier result by itself; for this one set cache.disable: "
    "false"
)
_FOR_SERVICES = "only a service is ended for being idle; a job ends by itself"
_NO_PAGE = (
    "the service is never found idle: only a page of its own reports when it was used last "
    "(termination.probe.http: {path, port})"
)
_NO_SYSTEM = (
    "Kubernetes heeds it only in a Pod that names its operating system, which a run's does not"
)
_NO_PIPELINE = (
    "is for the operations of a pipeline; alone, an operation waits for the runs that its params "
    "refer to"
)

Rule = Callable[[Any, CompiledOperation], bool]


@dataclass(frozen=True)
class Idle:
    """A key by its path (`[]`: each item of a list) and why it has no effect.

    `kind` and `applies` say for which operations that is so.
    """

    path: str
    message: str
    kind: str = ""
    applies: Rule = lambda value, compiled: True


def _needs_retries(value: Any, compiled: CompiledOperation) -> bool:
    return value == "OnFailure" and not (
        isinstance(compiled.termination, Mapping) and compiled.termination.get("maxRetries")
    )


def _is_one_program(value: Any, compiled: CompiledOperation) -> bool:
    return isinstance(value, str) and " " in value and "{" not in value


def _has_no_page(value: Any, compiled: CompiledOperation) -> bool:
    probe = compiled.termination.get("probe") if isinstance(compiled.termination, Mapping) else None
    return not (isinstance(probe, Mapping) and (probe.get("http") or probe.get("exec")))


def _reuses_no_result(value: Any, compiled: CompiledOperation) -> bool:
    """Return whether a run alone takes no result: its file does not ask for one."""
    if compiled.runtime in ("dag", "matrix"):
        return False  # its runs do
    cache = compiled.cache if isinstance(compiled.cache, Mapping) else {}
    return compiled.kind != "service" and cache.get("disable") is None


TABLE = (
    Idle("cache.disable", _NO_RESULT, "service", lambda value, compiled: value is False),
    *(
        Idle(f"cache.{key}", _CACHE_IS_OFF, applies=_reuses_no_result)
        for key in ("ttl", "io", "sections")
    ),
    Idle("cost", "what a run costs is recorded by nothing in this version"),
    Idle("dependencies", _NO_PIPELINE, applies=lambda value, compiled: bool(value)),
    Idle("trigger", _NO_PIPELINE),
    Idle("skipOnUpstreamSkip", _NO_PIPELINE),
    Idle(
        "plugins.collectLogs",
        "no log is kept by this version, whatever it says: `opstrand logs` reads the Pod's",
    ),
    Idle("plugins.syncStatuses", "statuses are always kept"),
    *(
        Idle(f"plugins.sidecar.{key}", _ONE_COLLECTOR)
        for key in (
            "image",
            "imageTag",
            "imagePullPolicy",
            "sleepInterval",
            "syncInterval",
            "monitorLogs",
            "monitorSpec",
            "resources",
        )
    ),
    Idle("termination.culling", _FOR_SERVICES, "job"),
    Idle("termination.probe", _FOR_SERVICES, "job"),
    Idle("termination.culling.timeout", _NO_PAGE, "service", _has_no_page),
    Idle(
        "termination.probe",
        "it is asked only where termination.culling has a timeout",
        "service",
        lambda value, compiled: (
            not (isinstance(compiled.termination, Mapping) and compiled.termination.get("culling"))
        ),
    ),
    Idle("run.ports", "a job has no address that others reach: `kind: service` has", "job"),
    Idle("run.isExternal", _NO_GATEWAY, "service"),
    Idle("run.rewritePath", _NO_GATEWAY, "service"),
    Idle("run.replicas", "a job has one Pod at a time", "job"),
    Idle(
        "run.environment.restartPolicy",
        "exit codes do not choose here: a failed run is tried again as often as "
        "termination.maxRetries says, by podFailurePolicy",
        "job",
        lambda value, compiled: value == "ExitCode",
    ),
    Idle(
        "run.environment.restartPolicy",
        "no failure is tried again without termination.maxRetries",
        "job",
        _needs_retries,
    ),
    Idle(
        "run.container.name",
        "the main container is always `main`",
        applies=lambda value, compiled: value != "main",
    ),
    Idle("run.init[].artifacts.workers", "files are copied one after the other"),
    Idle("run.container.lifecycle.stopSignal", _NO_SYSTEM),
    Idle("run.sidecars[].lifecycle.stopSignal", _NO_SYSTEM),
    Idle(
        "run.sidecars[].restartPolicy",
        "a sidecar is always started again until the run ends",
        applies=lambda value, compiled: value != "Always",
    ),
    Idle(
        "run.container.command",
        "a text is the name of one program, spaces and all: write a list",
        applies=_is_one_program,
    ),
)


def find_idle(compiled: CompiledOperation, *, is_alone: bool = False) -> Iterator[str]:
    """Yield every key of the operation without effect, as `path: why`.

    `is_alone`: its component, and so its kind, is not known here.
    """
    parts = {
        name: getattr(compiled, name)
        for name in ("cache", "plugins", "termination", "run", "cost", "dependencies", "trigger")
    }
    parts["skipOnUpstreamSkip"] = compiled.skip_on_upstream_skip
    kinds = ("", None if is_alone else compiled.kind)
    found = sorted(_locate(parts, _TREE), key=lambda one: one[0])
    for number, path, value in found:
        idle = TABLE[number]
        if idle.kind in kinds and idle.applies(value, compiled):
            yield f"{path}: {idle.message}"


@dataclass
class _Node:
    """The keys of the table below one key. `rows` are those that end here.

    `is_each`: the key's value is a list, and what is below is in each of its items.
    """

    is_each: bool = False
    rows: list[int] = field(default_factory=list)
    below: dict[str, _Node] = field(default_factory=dict)


def _grow() -> _Node:
    """Return the table as a tree: most operations have few of its keys, and the rest is skipped."""
    root = _Node()
    for number, idle in enumerate(TABLE):
        node = root
        for step in idle.path.split("."):
            key, is_each = step.removesuffix("[]"), step.endswith("[]")
            node = node.below.setdefault(key, _Node(is_each))
            assert node.is_each == is_each, f"{idle.path}: a list in one row, and not in another"
        node.rows.append(number)
    return root


_TREE = _grow()


def _locate(value: Any, node: _Node, before: str = "") -> Iterator[tuple[int, str, Any]]:
    """Yield every existing value of a row of the table: the row's number, its path, the value."""
    if not isinstance(value, Mapping):
        return
    for key, inner_node in node.below.items():
        inner = value.get(key)
        if inner is None:
            continue
        where = f"{before}.{key}" if before else key
        if not inner_node.is_each:
            found = [(where, inner)]
        elif isinstance(inner, list | tuple):
            found = [(f"{where}[{index}]", item) for index, item in enumerate(inner)]
        else:
            continue
        for place, item in found:
            yield from ((number, place, item) for number in inner_node.rows)
            yield from _locate(item, inner_node, place)
