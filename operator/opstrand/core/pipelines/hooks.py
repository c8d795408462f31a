"""Hooks as a file has them and as a status keeps them: rules, letters, and the run of one hook.

Owns `status.hooks`: one letter for each hook, so that each fires once. Must not evaluate anything:
`runtimes.hooks` does, once a run has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opstrand.core import names
from opstrand.core.limits import HOOKS, MESSAGE
from opstrand.core.normalize import as_stored
from opstrand.core.operation import CompiledOperation
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import NOTIFICATIONS
from opstrand.core.pipelines.hub import component_name
from opstrand.errors import Problem, SpecError
from opstrand.spec.scalars import is_template
from opstrand.text import list_names, shorten
from opstrand.types import Body, Manifest, UpstreamEdge

#: Letters: not decided yet, its run was created, it was not due, it cannot run. `UNREAD` stands for
#: all hooks of a run that ended before its file was read.
OPEN, FIRED, NOT_DUE, REFUSED, UNREAD = ".", "r", "k", "f", "?"
#: The key of the status.
HOOKS_KEY = "hooks"
#: The Component that sends notifications.
NOTIFIER = "notifier"
#: Ends that a hook can be for; `done` is any of them.
TRIGGERS = ("succeeded", "failed", "stopped", "skipped", "upstream_failed", "done")


@dataclass(frozen=True)
class Record:
    """What a status keeps of the hooks.

    `problems`: why some of them did not fire. `round`: how often the run was resumed: its hooks
    fire after each of its ends.
    """

    states: str = ""
    problems: tuple[Mapping[str, Any], ...] = ()
    round: int = 0

    @property
    def is_open(self) -> bool:
        return OPEN in self.states or UNREAD in self.states

    def with_problem(self, index: int, reason: str, message: str) -> Record:
        problem = {"hook": index, "reason": reason, "message": shorten(message, MESSAGE)}
        others = tuple(one for one in self.problems if one.get("hook") != index)
        return replace(self, problems=(*others, problem))

    def without_problem(self, index: int) -> Record:
        problems = tuple(one for one in self.problems if one.get("hook") != index)
        return replace(self, problems=problems)

    def with_letter(self, index: int, letter: str) -> Record:
        states = self.states[:index] + letter + self.states[index + 1 :]
        return replace(self, states=states)

    def renewed(self) -> Record:
        """Return the record of a run that is resumed: all hooks are open again."""
        return Record(OPEN * len(self.states), (), self.round + 1)

    def as_dict(self) -> dict[str, Any]:
        """Return what the status stores."""
        problems = [dict(one) for one in self.problems]
        return {
            "states": self.states,
            **({"problems": problems} if problems else {}),
            **({"round": self.round} if self.round else {}),
        }


def read_record(status: Mapping[str, Any]) -> Record:
    """Read the hooks of a status; none where it has none, or none that can be read."""
    stored = status.get(HOOKS_KEY)
    states = stored.get("states") if isinstance(stored, Mapping) else None
    if not isinstance(stored, Mapping) or not isinstance(states, str):
        return Record()
    problems, number = stored.get("problems") or (), stored.get("round")
    known = tuple(one for one in problems if isinstance(one, Mapping))
    return Record(states, known, number if isinstance(number, int) else 0)


def has_open_hooks(status: Any) -> bool:
    """Return whether a run that is over has hooks that were not decided yet."""
    if not isinstance(status, Mapping) or not parse_phase(status).is_final:
        return False
    return read_record(status).is_open


def may_have_hooks(spec: Any) -> bool:
    """Return whether an operation as it is written, or a component inside it, names a hook.

    Nothing has validated it: what has another shape names none.
    """
    layer = spec
    while isinstance(layer, Mapping):
        if layer.get("hooks") or list_all((), layer.get("plugins")):
            return True
        layer = layer.get("component")
    return False


# -- notifications ---------------------------------------------------------------------------------


def list_all(hooks: Any, plugins: Any) -> tuple[Mapping[str, Any], ...]:
    """Return the hooks of a run: its own, then one for each connection of its notifications.

    A notification is a hook of the Component `notifier`, which gets the connection.
    """
    own = hooks if isinstance(hooks, list | tuple) else ()
    return (*own, *_list_notifications(plugins))


def _list_notifications(plugins: Any) -> Iterator[Mapping[str, Any]]:
    written = plugins.get(NOTIFICATIONS) if isinstance(plugins, Mapping) else None
    for one in written if isinstance(written, list | tuple) else ():
        connections = one.get("connections") if isinstance(one, Mapping) else None
        if not isinstance(connections, list | tuple):
            continue
        trigger = {"trigger": one["trigger"]} if one.get("trigger") else {}
        for connection in connections:
            yield {"hubRef": NOTIFIER, "connection": connection, **trigger}


def check_notifications(plugins: Any, path: str, hooks: Any) -> Iterator[Problem]:
    """Find the notifications that cannot be sent. `hooks`: of the same run, checked on their own.

    They are bounded together, since each connection is one more hook.
    """
    written = plugins.get(NOTIFICATIONS) if isinstance(plugins, Mapping) else None
    if is_template(written):
        message = "a template cannot give notifications: write the list"
        yield Problem("NotSupported", message, f"{path}.{NOTIFICATIONS}")
        return
    for index, one in enumerate(written if isinstance(written, list | tuple) else ()):
        trigger = one.get("trigger")
        if trigger is not None and not is_template(trigger) and trigger not in TRIGGERS:
            message = f"expected one of {list_names(TRIGGERS)}, found {trigger!r}"
            where = f"{path}.{NOTIFICATIONS}[{index}].trigger"
            yield Problem("InvalidSpec", message, where)
    count, own = len(list_all((), plugins)), len(list_all(hooks, None))
    if count and count + own > HOOKS:
        message = (
            f"found {own} hooks and {count} connections to notify; a run can have at most {HOOKS} "
            "of both together"
        )
        yield Problem("TooLarge", message, f"{path}.{NOTIFICATIONS}")


# -- rules -----------------------------------------------------------------------------------------


def check_hooks(written: Any, path: str, *, is_child: bool) -> Iterator[Problem]:
    """Find what keeps hooks from running, whatever the run gives. `is_child`: of a pipeline."""
    if is_template(written):
        yield Problem("NotSupported", "a template cannot give hooks: write the list", path)
        return
    hooks = written if isinstance(written, list | tuple) else ()
    if len(hooks) > HOOKS:
        message = f"found {len(hooks)} hooks; a run can have at most {HOOKS}"
        yield Problem("TooLarge", message, path)
        return
    for index, hook in enumerate(hooks):
        yield from _check_hook(hook, f"{path}[{index}]", is_child=is_child)


def _check_hook(hook: Mapping[str, Any], path: str, *, is_child: bool) -> Iterator[Problem]:
    hub_ref = str(hook.get("hubRef") or "")
    if is_template(hub_ref):
        message = "a template cannot give a hook's component: write its name"
        yield Problem("NotSupported", message, f"{path}.hubRef")
    else:
        try:
            component_name(hub_ref, f"{path}.hubRef")
        except SpecError as error:
            yield from error.problems
    if hook.get("presets"):
        message = "a preset by its name is checked, but not run by this version"
        yield Problem("NotSupported", message, f"{path}.presets")
    params = hook.get("params")
    for name, param in params.items() if isinstance(params, Mapping) else ():
        ref = str(param.get("ref") or "") if isinstance(param, Mapping) else ""
        if ref == "dag" or (is_child and ref.startswith("ops.")):
            message = (
                f"a hook's run is outside of the pipeline, so it cannot refer to {ref!r}: let the "
                "operation take the value as a param of its own, and give that to the hook"
            )
            yield Problem("NotSupported", message, f"{path}.params.{name}.ref")


def check_namespace(hooks: Sequence[Any], own: str) -> Iterator[Problem]:
    """Find hooks for another namespace: a run makes runs in its own one alone."""
    for index, hook in enumerate(hooks):
        found = hook.get("namespace")
        if found not in (None, own):
            message = f"expected the run's own namespace {own!r}, found {found!r}"
            yield Problem("InvalidSpec", message, f"hooks[{index}].namespace")


def find_own_hooks(hooks: Any, name: str) -> Iterator[Problem]:
    """Yield a problem for each hook of the Component of this name that is this Component."""
    for index, hook in enumerate(hooks if isinstance(hooks, list | tuple) else ()):
        if str(hook.get("hubRef") or "").replace(":", ".", 1) == name:
            message = f"the Component '{name}' would hook itself: it would run without an end"
            yield Problem("RefToItself", message, f"hooks[{index}].hubRef")


def find_hooks_of_hooks(compiled: CompiledOperation, prefix: str = "") -> Iterator[Problem]:
    """Yield a problem for each hook and build of a run that a hook made, and of its operations."""
    found = {
        "hooks": ("hooks of its own", compiled.hooks),
        "build": ("a build", compiled.build),
        "plugins.notifications": ("notifications", list_all((), compiled.plugins)),
    }
    for section, (what, written) in found.items():
        if written:
            message = f"the run of a hook cannot have {what}"
            yield Problem("NotSupported", message, f"{prefix}{section}")
    for node in compiled.nodes.values():
        if node.compiled is not None:
            yield from find_hooks_of_hooks(node.compiled, f"{prefix}{node.path}.")


def list_components(hooks: Any) -> list[str]:
    """Return the Components that hooks name. What can be no name is reported by `check_hooks`."""
    found = hooks if isinstance(hooks, list | tuple) else ()
    return list(dict.fromkeys(str(one.get("hubRef") or "").replace(":", ".", 1) for one in found))


# -- the run of one hook ---------------------------------------------------------------------------


def name_hook_run(body: Body, index: int, number: int = 0) -> str:
    """Return the name of the run of a hook; no operation of a pipeline can have its key.

    `number`: the round of the record.
    """
    metadata = body["metadata"]
    uuid, key = names.run_uuid(str(metadata["uid"])), f"hook:{index}"
    return names.child_name(str(metadata["name"]), uuid, f"{key}:{number}" if number else key)


def render_hook_run(body: Body, index: int, spec: Mapping[str, Any], number: int = 0) -> Manifest:
    """Return the manifest of the run of a hook.

    The run that it is for is its owner, but does not control it: that run is over.
    """
    metadata = body["metadata"]
    owner = {
        key: value for key, value in names.owner_reference(body).items() if key != "controller"
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Operation",
        "metadata": {
            "name": name_hook_run(body, index, number),
            "namespace": metadata["namespace"],
            "labels": {
                names.HOOK: names.run_uuid(str(metadata["uid"])),
                names.OP: f"hook-{index}",
            },
            "ownerReferences": [owner],
        },
        "spec": as_stored(dict(spec)),
    }


def find_hook_edge(body: Body) -> UpstreamEdge | None:
    """Return the edge to the run whose hook made this one; None if no hook did."""
    owner = names.find_hooked(body)
    if owner is None:
        return None
    return {
        "uuid": names.run_uuid(str(owner["uid"])),
        "name": str(owner["name"]),
        "kind": "hook",
        "values": {},
    }
