"""The plan of a run: its operation with every value in place.

It is in Kubernetes vocabulary only where the user wrote it. Owns rendering `run` and the
operation's templated fields, once. A pure function of what was compiled, resolved and frozen: the
same bytes on every machine and at every retry. Must not add what a Pod needs from the operator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, cast

from pydantic import ValidationError

from opstrand.core.identity import CONTEXT_ROOT, Identity, render_paths
from opstrand.core.operation import CompiledOperation
from opstrand.core.planning.conditions import evaluate_approval, evaluate_condition
from opstrand.core.planning.connections import unknown_connection
from opstrand.core.planning.containers import clean_container, clean_environment
from opstrand.core.planning.context_root import locate_container
from opstrand.core.planning.expansion import keep_traces
from opstrand.core.planning.init import render_init
from opstrand.core.planning.service_globals import KIND, render_service_globals
from opstrand.core.resolving.bindings import Slot, bind_params
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.context import Scope
from opstrand.core.templates.meter import Evaluate, Exhausted, metered
from opstrand.core.templates.template import refuse, render
from opstrand.core.templates.traced import forget
from opstrand.core.values.types import to_text
from opstrand.errors import Problem, SpecError
from opstrand.spec.environment import Environment
from opstrand.spec.plugins import Plugins
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.section import Section
from opstrand.spec.termination import Termination
from opstrand.spec.validation import validate
from opstrand.text import shorten

#: The reason for refusing what needs a catalog of connections.
CATALOG_NOT_GIVEN = "CatalogNotGiven"
NO_CATALOG = "no catalog of connections is given here (--connections FILE, or OPSTRAND_CONNECTIONS)"
#: Keys of `run` that have their own field in a plan. Others, such as a service's ports, are in
#: `extra`.
_OWN_KEYS = ("kind", "container", "init", "sidecars", "volumes", "environment", "connections")
#: Parts of a pipeline: templates of its children, which are rendered with the children's values.
_CHILDREN = ("operations", "components")
_OPERATION_KEYS = ("cache", "presets", "cost", "namespace", "mount")


@dataclass(frozen=True)
class Plan:
    """What one run does. All mappings are JSON in the user's spelling; `init` is in running order.

    Texts that other programs interpret are traced: those of a container where Kubernetes expands
    `$(VAR)`, and a Dockerfile's section. `to_env` are the variables that params request (`toEnv`),
    as text; they win over the container's own. `condition` is the result of the operation's
    conditions (None: it has none). If it is False, nothing else was rendered, since nothing will
    run.
    """

    uuid: str
    name: str
    owner: str
    project: str
    kind: str
    container: Mapping[str, Any] = field(default_factory=dict)
    init: tuple[Mapping[str, Any], ...] = ()
    sidecars: tuple[Mapping[str, Any], ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Any] = field(default_factory=dict)
    termination: Mapping[str, Any] = field(default_factory=dict)
    connections: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    to_env: Mapping[str, str] = field(default_factory=dict)
    condition: bool | None = None
    is_approved: bool | None = None
    queue: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    #: The path of each of `init` in the polyaxonfile, for messages: not part of what the run does.
    init_paths: tuple[str, ...] = field(default=(), compare=False, repr=False)
    #: Where the program finds the context root. Every text that names it is already in the plan.
    context_root: str = field(default=CONTEXT_ROOT, compare=False, repr=False)

    @property
    def run_info(self) -> str:
        """`owner.project.runs.uuid`, as clients in the container read it."""
        return f"{self.owner}.{self.project}.runs.{self.uuid}"

    @property
    def placed_init(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Each step with its path in the polyaxonfile."""
        return zip(self.init, self.init_paths, strict=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            one.name: forget(_as_json(getattr(self, one.name)))
            for one in fields(self)
            if one.compare
        }

    def as_json(self) -> bytes:
        """Return the canonical text: equal plans have equal bytes."""
        return self._text

    @cached_property
    def _text(self) -> bytes:
        text = json.dumps(
            self.as_dict(),
            sort_keys=True,
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        return text.encode()


def _as_json(value: Any) -> Any:
    return (
        list(value)
        if isinstance(value, tuple)
        else (dict(value) if isinstance(value, Mapping) else value)
    )


def compile_plan(
    compiled: CompiledOperation,
    resolved: Resolved,
    identity: Identity,
    connections: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    store_path: str = "",
    evaluate: Evaluate = refuse,
) -> Plan:
    """Render the plan of a run with these values.

    Raises SpecError with the path of the field as it is after rendering. `connections` is the
    catalog: name to what templates read of it (`connections.<name>.url`). None: the catalog is
    unknown; no name is refused, but a template that reads `connections` or `init` is
    (CatalogNotGiven). `store_path` is where the artifacts store would be mounted whole.
    """
    evaluate = metered(evaluate)
    slots = _find_slots(compiled, resolved)
    scope = _fill_scope(slots, compiled, resolved, identity, evaluate)
    facts = (identity.uuid, identity.name, identity.owner, identity.project, compiled.kind)
    condition = (
        None
        if compiled.conditions is None
        else evaluate_condition(compiled.conditions, scope.values, evaluate=evaluate)
    )
    if condition is False:
        return Plan(*facts, inputs=resolved.inputs, outputs=resolved.outputs, condition=False)
    names = _check_connections(
        render(
            compiled.run.get("connections") or [],
            scope.values,
            "run.connections",
            evaluate=evaluate,
        ),
        connections,
    )
    _add_connections(scope, names, compiled, connections)
    run = _Run(compiled, scope.values, evaluate, identity.context_root)
    if compiled.kind == KIND:
        scope.values["globals"] = {
            **scope.values["globals"],
            **render_service_globals(identity, run.render_extra()),
        }
    plugins = run.render_section("plugins", compiled.plugins, Plugins)
    scope.values["globals"] = {
        **scope.values["globals"],
        **render_paths(identity, plugins, store_path),
    }
    given = [(slot, _read(slot, resolved)) for slot in slots if slot.to_init]
    parts = _gather(
        container=run.render_container,
        init=lambda: _render_steps(compiled, given, scope, evaluate),
        sidecars=run.render_sidecars,
        volumes=lambda: tuple(run.render_list("volumes")),
        environment=lambda: clean_environment(
            run.render_section("run.environment", compiled.run.get("environment"), Environment)
        ),
        termination=lambda: run.render_section("termination", compiled.termination, Termination),
        is_approved=lambda: evaluate_approval(run.render("isApproved", compiled.is_approved)),
        queue=lambda: _to_name(run.render("queue", compiled.queue), "queue"),
        extra=run.render_extra,
    )
    steps = parts.pop("init")
    return Plan(
        *facts,
        init=tuple(step for step, _ in steps),
        init_paths=tuple(path for _, path in steps),
        plugins=plugins,
        connections=tuple(names),
        inputs=resolved.inputs,
        outputs=resolved.outputs,
        to_env=_render_env(slots, resolved),
        condition=condition,
        context_root=identity.context_root,
        **parts,
    )


def _render_steps(
    compiled: CompiledOperation, given: list[tuple[Slot, Any]], scope: Scope, evaluate: Evaluate
) -> tuple[tuple[dict[str, Any], str], ...]:
    """Return the init steps with their paths: those of the file, and one for each `toInit`."""
    written = compiled.run.get("init") or []
    if not written and not given:
        return ()
    return render_init(written, given, scope.values, evaluate=evaluate)


def _find_slots(compiled: CompiledOperation, resolved: Resolved) -> list[Slot]:
    """Return the slots that have a declaration or a value."""
    return [
        slot
        for slot in bind_params(compiled).slots
        if slot.io is not None or slot.name in resolved.inputs
    ]


def _add_connections(
    scope: Scope,
    names: list[str],
    compiled: CompiledOperation,
    catalog: Mapping[str, Mapping[str, Any]] | None,
) -> None:
    """Add what templates read of the connections of the run and of its init steps."""
    asked = [
        step["connection"]
        for step in compiled.run.get("init") or ()
        if isinstance(step, Mapping) and step.get("connection")
    ]
    if catalog is None:
        scope.add_not_given(
            "connections",
            "init",
            reason=CATALOG_NOT_GIVEN,
            message=f"reads connections, and {NO_CATALOG}",
        )
        return
    known = {name: catalog[name] for name in (*names, *asked) if name in catalog}
    scope.add_mappings(
        connections={n: known[n] for n in names},
        init={n: known[n] for n in asked if n in known},
    )


def _gather(**makers: Callable[[], Any]) -> dict[str, Any]:
    """Make every part of the plan. Raises SpecError with the problems of all of them."""
    parts: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, make in makers.items():
        try:
            parts[name] = make()
        except Exhausted:
            raise
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError.of(problems)
    return parts


def _fill_scope(
    slots: list[Slot],
    compiled: CompiledOperation,
    resolved: Resolved,
    identity: Identity,
    evaluate: Evaluate,
) -> Scope:
    """Return the context of `run`: inputs, outputs, context values.

    It has the frozen values, not what the params say now.
    """
    scope = Scope(identity, evaluate=evaluate)
    links = {(slot.section, slot.name): slot.connection for slot in slots}
    declared = {io.name: io for io in compiled.inputs}
    for name, io in declared.items():
        scope.add(name, resolved.inputs.get(name), io, links.get(("inputs", name), io.connection))
    for io in compiled.outputs:
        scope.add(
            io.name,
            resolved.outputs.get(io.name),
            io,
            links.get(("outputs", io.name), io.connection),
        )
    for name, value in resolved.inputs.items():
        if name not in declared:
            scope.add(name, value, None, links.get(("contexts", name)))
    return scope


def _read(slot: Slot, resolved: Resolved) -> Any:
    return (resolved.outputs if slot.section == "outputs" else resolved.inputs).get(slot.name)


def _render_env(slots: list[Slot], resolved: Resolved) -> dict[str, str]:
    return {slot.to_env: to_text(_read(slot, resolved)) for slot in slots if slot.to_env}


def _check_connections(names: Any, catalog: Mapping[str, Any] | None) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpecError(
            "InvalidSpec",
            f"expected a list of names, found {shorten(repr(names), 80)}",
            "run.connections",
        )
    for index, name in enumerate(names):
        if catalog is not None and name not in catalog:
            raise unknown_connection(name, catalog, f"run.connections[{index}]")
    return names


def _to_name(value: Any, path: str) -> str | None:
    if isinstance(value, Mapping | list):
        raise SpecError("InvalidSpec", f"expected a name, found {shorten(repr(value), 80)}", path)
    return None if value is None else to_text(value)


@dataclass(frozen=True)
class _Run:
    """Renders an operation's sections with one context."""

    compiled: CompiledOperation
    context: Mapping[str, Any]
    evaluate: Evaluate
    context_root: str

    def render(self, path: str, value: Any, *, traced: bool = False) -> Any:
        return render(value, self.context, path, evaluate=self.evaluate, traced=traced)

    def render_own(self, path: str, value: Any, *, traced: bool = False) -> dict[str, Any]:
        return self._expect_mapping(self.render(path, value or {}, traced=traced), path)

    def render_section(self, path: str, value: Any, section: type[Section]) -> dict[str, Any]:
        """Render a section that a template may make as a whole or in part.

        A section made as a whole is validated here; the problems of a part are reported by the
        rules of that part.
        """
        rendered = self.render_own(path, value)
        if rendered == value:
            return rendered
        try:
            return cast(dict[str, Any], validate(section, rendered).data)
        except ValidationError as error:
            if isinstance(value, str):
                raise spec_error(error, None).within(path) from None
        return rendered

    def render_list(self, key: str, *, traced: bool = False) -> list[Any]:
        path = f"run.{key}"
        rendered = self.render(path, self.compiled.run.get(key) or [], traced=traced)
        if not isinstance(rendered, list):
            raise SpecError(
                "InvalidSpec", f"expected a list, found {shorten(repr(rendered), 80)}", path
            )
        return [
            self._expect_mapping(item, f"{path}[{index}]") for index, item in enumerate(rendered)
        ]

    def render_container(self) -> dict[str, Any]:
        path = "run.container"
        rendered = self.render_own(path, self.compiled.run.get("container"), traced=True)
        located = locate_container(keep_traces(rendered), self.context_root)
        return clean_container(located, path, drop_empty=True)

    def render_sidecars(self) -> tuple[dict[str, Any], ...]:
        rendered = enumerate(self.render_list("sidecars", traced=True))
        return tuple(
            clean_container(keep_traces(one), f"run.sidecars[{index}]") for index, one in rendered
        )

    def render_extra(self) -> dict[str, Any]:
        others = {
            key: value
            for key, value in self.compiled.run.items()
            if key not in _OWN_KEYS and value is not None
        }
        rendered = {
            k: v if k in _CHILDREN else self.render(f"run.{k}", v) for k, v in others.items()
        }
        own = {key: getattr(self.compiled, key, None) for key in _OPERATION_KEYS}
        return {**rendered, **{key: self.render(key, value) for key, value in own.items() if value}}

    @staticmethod
    def _expect_mapping(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise SpecError(
                "InvalidSpec", f"expected a mapping, found {shorten(repr(value), 80)}", path
            )
        return dict(value)
