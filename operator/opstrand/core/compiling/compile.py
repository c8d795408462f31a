"""Compile a component and an operation into one compiled operation.

Owns the order in which parts are merged: the component, the operation's own fields, its `run`, the
root shortcuts, its `runPatch`; before all that, presets are merged over the operation alone, and
after it, what a pipeline hands down is merged under the result. Must not resolve a ref or render a
template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from opstrand.core.compiling.dag import read_pipeline
from opstrand.core.compiling.patch import merge_over
from opstrand.core.compiling.shortcuts import apply_shortcuts, merge_over_run
from opstrand.core.operation import CompiledOperation
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.common import Common
from opstrand.spec.component import Component
from opstrand.spec.document import Path
from opstrand.spec.io import IO
from opstrand.spec.operation import Operation
from opstrand.spec.params import Param
from opstrand.spec.patch import Strategy
from opstrand.spec.polyaxonfile import dotted, parse_component, parse_operation

#: Not merged over the component: they identify the operation, or are applied in a way of their own.
_APART = {
    "version",
    "kind",
    "component",
    "hubRef",
    "pathRef",
    "urlRef",
    "dagRef",
    "isPreset",
    "patchStrategy",
    "control",
    "inherited",
}
_APART |= {
    "run",
    "runPatch",
    "strictParams",
    "container",
    "cmd",
    "env",
    "resources",
    "ports",
    "environment",
    "init",
}
_APART |= {"connections", "sidecars", "volumes"}


def compile_operation(
    operation: Operation,
    *,
    component: Component | None = None,
    presets: Sequence[Mapping[str, Any]] = (),
) -> CompiledOperation:
    """Compile the operation over its component, with presets over the operation, first to last.

    `component` is the one that `hubRef` names, already found. Raises SpecError: nothing to run, a
    template file, a patch that does not fit, a pipeline or matrix that cannot work.
    """
    written = apply_presets(operation.written, presets)
    return compile_written(written, component.written if component is not None else None)


def compile_written(
    written: Mapping[str, Any], hub: Mapping[str, Any] | None = None
) -> CompiledOperation:
    """Do the same for an operation that was parsed as part of another file, a pipeline."""
    merged = _compose(written, hub, ())
    if isinstance(written.get("inherited"), Mapping):
        merged = _inherit(merged, written["inherited"])
    _validate(merged)
    compiled = _collect(merged)
    if compiled.kind == "dag":
        pipeline = read_pipeline(compiled, compile_written)
        if pipeline.problems:
            raise SpecError.of(pipeline.problems)
        return replace(compiled, nodes=pipeline.nodes)
    return compiled


def compile_alone(operation: Operation) -> CompiledOperation:
    """Compile what an operation says by itself while its `hubRef` component is not found.

    What it runs is unknown.
    """
    return _collect({**operation.written, "run": {"kind": "job"}})


def apply_presets(
    written: Mapping[str, Any], presets: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return what was written with presets merged over it, first to last.

    Each preset's own strategy says how it merges over what is before it.
    """
    for preset in presets:
        model: type[Common] = Component if preset.get("kind") == "component" else Operation
        parsed = (
            parse_component(preset)
            if model is Component
            else parse_operation({**preset, "isPreset": True})
        )
        strategy = _strategy(parsed.written)
        apart = {
            "kind",
            "component",
            "isPreset",
            "patchStrategy",
            *(("hubRef",) if written.get("hubRef") else ()),
        }
        patch = {
            key: _spread_commas(key, value)
            for key, value in parsed.written.items()
            if key not in apart
        }
        written = {key: _spread_commas(key, value) for key, value in written.items()}
        own_patch = patch.pop("runPatch", None)
        result = merge_over(Operation, written, patch, strategy)
        if own_patch is not None:
            result["runPatch"] = merge_over_run(
                _kind_of(result), result.get("runPatch") or {}, own_patch, strategy
            )
        written = result
    return written


def _kind_of(written: Mapping[str, Any]) -> str:
    layer: Any = written
    while isinstance(layer, Mapping):
        run = layer.get("run")
        if isinstance(run, Mapping) and "kind" in run:
            return str(run["kind"])
        layer = layer.get("component")
    return "job"


def _strategy(written: Mapping[str, Any]) -> Strategy:
    return cast(Strategy, written.get("patchStrategy") or "post_merge")


def _compose(
    written: Mapping[str, Any], hub: Mapping[str, Any] | None, path: Path
) -> dict[str, Any]:
    """Compose one layer over the component below it, which may itself be a layer over another."""
    inline = written.get("component")
    below = inline if isinstance(inline, Mapping) else hub
    if below is None:
        _validate_reference(written, path)
    base = _compose(below, None, (*path, "component")) if below is not None else {}
    strategy = _strategy(written)
    own = {key: _spread_commas(key, value) for key, value in written.items() if key not in _APART}
    merged = merge_over(Operation, base, own, strategy)
    if base.get("strictParams") or written.get("strictParams"):
        merged["strictParams"] = True
    run = base.get("run")
    if written.get("run") is not None:
        run = _merge_runs(run, written["run"], strategy)
    run = apply_shortcuts(run, written, strategy)
    if written.get("runPatch"):
        run = _patch_run(run, written["runPatch"], strategy, path)
    if run is not None:
        merged["run"] = run
    return merged


def _inherit(merged: dict[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """Merge what a pipeline hands down under the operation's own values, which win."""
    of_operation = {key: value for key, value in inherited.items() if key not in _APART}
    after = merge_over(Operation, merged, of_operation, "pre_merge")
    if merged.get("run") is not None:
        of_run = {key: value for key, value in inherited.items() if key in _APART}
        after["run"] = apply_shortcuts(merged["run"], of_run, "pre_merge")
    return after


def _validate_reference(written: Mapping[str, Any], path: Path) -> None:
    for key, reason, message in (
        ("hubRef", "ComponentNotFound", "the component '{}' was not given"),
        (
            "dagRef",
            "InvalidSpec",
            "'{}' is a component of a pipeline; outside one, use hubRef or component",
        ),
        (
            "pathRef",
            "NotSupported",
            "only the command line reads '{}'; give the component itself, or hubRef",
        ),
        (
            "urlRef",
            "NotSupported",
            "only the command line reads '{}'; give the component itself, or hubRef",
        ),
    ):
        if written.get(key):
            raise SpecError(reason, message.format(written[key]), dotted((*path, key)))


def _merge_runs(
    base: Mapping[str, Any] | None, run: Mapping[str, Any], strategy: Strategy
) -> Mapping[str, Any]:
    if base is None:
        return run
    if base.get("kind") == run.get("kind"):
        return merge_over_run(str(run.get("kind")), base, run, strategy)
    return run if strategy in ("post_merge", "replace") else base


def _patch_run(
    run: Mapping[str, Any] | None, patch: Mapping[str, Any], strategy: Strategy, path: Path
) -> Mapping[str, Any]:
    if run is None:
        raise SpecError("InvalidSpec", "there is no runtime to patch", dotted((*path, "runPatch")))
    try:
        return merge_over_run(str(run["kind"]), run, patch, strategy, validates=True)
    except SpecError as error:
        raise error.within(dotted((*path, "runPatch"))) from None


def _validate(merged: Mapping[str, Any]) -> None:
    template = merged.get("template")
    if isinstance(template, Mapping) and template.get("enabled") not in (None, False):
        raise SpecError(
            "InvalidSpec",
            "the file is a template: fill in its fields, then set this to false or remove it",
            "template.enabled",
        )
    run = merged.get("run")
    if not isinstance(run, Mapping):
        raise SpecError(
            "InvalidSpec", "there is nothing to run: neither a `run` nor a component has one", "run"
        )
    if run.get("kind") == "dag" and merged.get("build"):
        raise SpecError(
            "InvalidSpec", "a pipeline cannot have a `build`; give it to its operations", "build"
        )


def _collect(merged: Mapping[str, Any]) -> CompiledOperation:
    run = merged["run"]
    return CompiledOperation(
        name=merged.get("name"),
        kind=str(run["kind"]),
        run=run,
        description=merged.get("description"),
        tags=tuple(merged.get("tags") or ()),
        inputs=_declarations(merged, "inputs"),
        outputs=_declarations(merged, "outputs"),
        params={
            name: Param.model_validate(param)
            for name, param in (merged.get("params") or {}).items()
        },
        plugins=_mapping(merged.get("plugins")),
        termination=_mapping(merged.get("termination")),
        joins=_items(merged.get("joins")),
        matrix=merged.get("matrix"),
        schedule=merged.get("schedule"),
        cache=merged.get("cache"),
        hooks=_items(merged.get("hooks")),
        events=_items(merged.get("events")),
        build=merged.get("build"),
        conditions=merged.get("conditions"),
        is_approved=merged.get("isApproved"),
        strict_params=bool(merged.get("strictParams")),
        queue=merged.get("queue"),
        namespace=merged.get("namespace"),
        trigger=merged.get("trigger"),
        dependencies=_items(merged.get("dependencies")) or (),
        skip_on_upstream_skip=merged.get("skipOnUpstreamSkip"),
        presets=tuple(merged.get("presets") or ()),
        cost=merged.get("cost"),
        mount=_items(merged.get("mount")) or (),
        merged=merged,
    )


def _spread_commas(key: str, value: Any) -> Any:
    """Split tags and presets that are written as text with commas: they merge as lists."""
    if key not in ("tags", "presets") or not isinstance(value, str):
        return value
    return [word.strip() for word in value.split(",") if word.strip()]


def _items(value: Any) -> tuple[Any, ...] | None:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _mapping(value: Any) -> Mapping[str, Any] | str:
    """Return a section, or the template that makes it."""
    return value if isinstance(value, Mapping | str) else {}


def _declarations(merged: Mapping[str, Any], key: str) -> tuple[IO, ...]:
    declared = tuple(IO.model_validate(written) for written in merged.get(key) or ())
    first: dict[str, int] = {}
    problems = [
        Problem("InvalidSpec", f"'{io.name}' is declared twice", f"{key}[{index}].name")
        for index, io in enumerate(declared)
        if first.setdefault(io.name, index) != index
    ]
    if problems:
        raise SpecError.of(problems[:MAX_PROBLEMS])
    return declared
