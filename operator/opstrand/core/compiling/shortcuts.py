"""Merge the root shortcuts (`cmd`, `env` and others) and patches of a run over its containers.

Owns where in a runtime a patch lands: a job has one container, a distributed run one for each role.
Must not know the rest of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from opstrand.core.compiling.patch import merge_over
from opstrand.core.limits import GROUPS
from opstrand.errors import SpecError
from opstrand.spec.patch import Strategy
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.problems import written_keys
from opstrand.spec.respelling import find_key
from opstrand.spec.runtimes import runtimes
from opstrand.spec.scalars import is_template
from opstrand.spec.shape import fields_of
from opstrand.spec.shortcuts import spread_resources
from opstrand.spec.validation import validate

Run = Mapping[str, Any]
#: Merged over the runtime as they are, in this order, after the container's own.
_PLAIN = ("environment", "init", "connections", "sidecars", "volumes")


def merge_over_run(
    kind: str,
    base: Run,
    patch: Mapping[str, Any],
    strategy: Strategy,
    *,
    validates: bool = False,
) -> dict[str, Any]:
    """Return a runtime with a patch merged over it.

    A patch with the keys of a role goes to every role of a distributed run. With
    `validates` the patch is checked against the runtime first; SpecError has paths inside
    the patch.
    """
    model = runtimes().get(kind)
    if model is None:
        raise SpecError("InvalidSpec", f"unknown kind of runtime '{kind}'", "kind")
    roles = _roles(model, base)
    if len(roles) > GROUPS:
        raise SpecError(
            "TooLarge", f"there are {len(roles)} groups; at most {GROUPS} are patched", "kind"
        )
    own = written_keys(model)
    is_for_roles = bool(roles) and not all(key in own or find_key(key, own) for key in patch)
    if validates:
        patch = _validate_patch(_role_model(model) if is_for_roles else model, patch)
    if not is_for_roles:
        return merge_over(model, base, patch, strategy)
    return _merge_roles(model, base, roles, patch, strategy)


def _merge_roles(
    model: type[BaseModel],
    base: Run,
    roles: list[tuple[str, ...]],
    patch: Mapping[str, Any],
    strategy: Strategy,
) -> dict[str, Any]:
    result = dict(base)
    role_model = _role_model(model)
    for path in roles:
        if len(path) == 1:
            result[path[0]] = merge_over(role_model, result[path[0]], patch, strategy)
        else:
            group = dict(result[path[0]])
            group[path[1]] = merge_over(role_model, group[path[1]], patch, strategy)
            result[path[0]] = group
    return result


def _roles(model: type[BaseModel], run: Run) -> list[tuple[str, ...]]:
    """Return where the roles of a distributed run are.

    That is ("worker",), or ("workers", "small") for named groups.
    """
    found: list[tuple[str, ...]] = []
    for key, (shape, _) in fields_of(model).items():
        value = run.get(key)
        if not isinstance(value, Mapping):
            continue
        if shape.section is not None and "container" in fields_of(shape.section):
            found.append((key,))
        elif (
            shape.items is not None
            and shape.items.section is not None
            and "container" in fields_of(shape.items.section)
        ):
            found += [(key, name) for name, role in value.items() if isinstance(role, Mapping)]
    return found


def _role_model(model: type[BaseModel]) -> type[BaseModel]:
    for shape, _ in fields_of(model).values():
        section = shape.section or (shape.items.section if shape.items else None)
        if section is not None and "container" in fields_of(section):
            return section
    return model


def _validate_patch(model: type[BaseModel], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Validate the patch and return it in the documented spelling.

    A patch is an open mapping until its runtime, and so its keys, are known.
    """
    try:
        return cast(Mapping[str, Any], validate(model, patch).data)
    except ValidationError as error:
        raise spec_error(error, None) from None


# -- shortcuts -------------------------------------------------------------------------------------


def apply_shortcuts(run: Run | None, written: Mapping[str, Any], strategy: Strategy) -> Run | None:
    """Return `run` with the root shortcuts of one layer.

    Without a runtime, `ports` makes a service and any other shortcut a job.
    """
    if written.get("ports") is not None:
        run = _merge(run, {"ports": written["ports"]}, strategy, "service")
    if written.get("container") is not None:
        run = _merge(run, {"container": written["container"]}, strategy)
    if written.get("cmd"):
        run = _apply_command(run, written["cmd"], strategy)
    if written.get("env") is not None:
        run = _apply_variables(run, written["env"], strategy)
    if written.get("resources") is not None:
        run = _merge(
            run, {"container": {"resources": spread_resources(written["resources"])}}, strategy
        )
    for key in _PLAIN:
        if written.get(key) is not None:
            run = _merge(run, {key: written[key]}, strategy)
    return run


def _merge(run: Run | None, patch: Mapping[str, Any], strategy: Strategy, kind: str = "job") -> Run:
    if run is None:
        return {"kind": kind, **patch}
    return merge_over_run(str(run["kind"]), run, patch, strategy)


def _apply_command(run: Run | None, cmd: Any, strategy: Strategy) -> Run:
    """Merge one script of all lines, as a whole pair of command and args.

    Half of the pair would mix with the component's.
    """
    lines = [cmd] if isinstance(cmd, str) else list(cmd)
    pair = {"command": ["/bin/sh", "-c"], "args": ["\n".join(["set -e", *lines])]}
    if run is None or strategy in ("post_merge", "replace"):
        return _merge(run, {"container": pair}, "replace")
    filled = _merge(run, {"container": pair}, "isnull")
    return _restore(
        run,
        filled,
        lambda old: old.get("command") is not None or old.get("args") is not None,
        ("command", "args"),
    )


def _apply_variables(run: Run | None, env: Mapping[str, str], strategy: Strategy) -> Run:
    entries = [{"name": name, "value": value} for name, value in env.items()]
    if run is None or strategy in ("replace", "isnull"):
        return _merge(run, {"container": {"env": entries}}, strategy)
    merged = _merge(run, {"container": {"env": []}}, strategy)
    return _change_containers(
        merged, lambda container: _with_variables(container, entries, strategy)
    )


def _with_variables(
    container: Mapping[str, Any], entries: list[Any], strategy: Strategy
) -> Mapping[str, Any]:
    old = container.get("env") or []
    if is_template(old):
        return container
    both = [*old, *entries] if strategy == "post_merge" else [*entries, *old]
    last = {
        entry.get("name"): index for index, entry in enumerate(both) if isinstance(entry, Mapping)
    }
    kept = [
        entry
        for index, entry in enumerate(both)
        if not isinstance(entry, Mapping) or last[entry.get("name")] == index
    ]
    return {**container, "env": kept}


def _restore(
    before: Run, after: Run, is_kept: Callable[[Mapping[str, Any]], bool], keys: tuple[str, ...]
) -> Run:
    old = _containers(before)

    def undo(container: Mapping[str, Any]) -> Mapping[str, Any]:
        earlier = old.get(len(seen))
        seen.append(container)
        if not isinstance(earlier, Mapping) or not is_kept(earlier):
            return container
        rest = {key: value for key, value in container.items() if key not in keys}
        return {**rest, **{key: earlier[key] for key in keys if key in earlier}}

    seen: list[Any] = []
    return _change_containers(after, undo)


def _containers(run: Run) -> dict[int, Any]:
    found: list[Any] = []

    def note(container: Mapping[str, Any]) -> Mapping[str, Any]:
        found.append(container)
        return container

    _change_containers(run, note)
    return dict(enumerate(found))


def _change_containers(run: Run, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Run:
    """Return the run with every main container changed; templates in their place stay."""
    model = runtimes()[str(run["kind"])]
    result = dict(run)
    if "container" in fields_of(model):
        if not is_template(result.get("container")):
            result["container"] = change(result.get("container") or {})
        return result
    for path in _roles(model, run):
        holder = result if len(path) == 1 else result.setdefault(path[0], {})
        if len(path) == 2:
            holder = result[path[0]] = dict(holder)
        role = dict(holder[path[-1]])
        if not is_template(role.get("container")):
            role["container"] = change(role.get("container") or {})
        holder[path[-1]] = role
    return result
