"""Refs to other runs: their grammar, which runs an operation needs, and how a run looks to others.

Owns `ref` and `value` of a param with a ref, validated without looking at any run. Must not read
values: `core.resolving.upstream_values` does. Source: the references document, word for word; every
form it lists is accepted, everything else is refused with the accepted forms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opstrand.core.operation import CompiledOperation
from opstrand.errors import Problem, SpecError
from opstrand.spec.params import Param
from opstrand.text import find_nearest, list_names, quote, suggest

Kind = Literal["runs", "ops", "dag"]
Section = Literal["globals", "io", "inputs", "outputs", "artifacts", "files"]

#: The exact keys of the dictionary that `globals` of a ref is.
REF_GLOBALS = (
    "uuid",
    "name",
    "status",
    "condition",
    "owner_name",
    "project_name",
    "project_unique_name",
    "run_info",
    "context_path",
    "artifacts_path",
    "run_artifacts_path",
    "run_outputs_path",
    "created_at",
    "schedule_at",
    "started_at",
    "finished_at",
    "duration",
    "cloning_kind",
)
#: Further globals that can be read by name: everything else that a run's own templates have.
OWN_GLOBALS = (
    "run_relative_outputs_path",
    "store_path",
    "namespace",
    "project_uuid",
    "iteration",
    "compiled_at",
    "original_uuid",
    "is_independent",
    "username",
    "user_email",
)
#: Further globals of a running service, its address: `host` in the cluster is opstrand's own, the
#: others are the published package's.
SERVICE_GLOBALS = ("host", "ports", "base_url", "base_urls")
NAMED_GLOBALS = (*REF_GLOBALS, *OWN_GLOBALS)
_SECTIONS: tuple[Section, ...] = ("globals", "io", "inputs", "outputs", "artifacts")
_FILE_KEYS = {"files": "files", "file": "files", "dirs": "dirs", "workers": "workers"}
#: Characters of a template that is more than a look-up.
_EXPRESSION = re.compile(r"[|(){}\[\]'\"]")
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, order=True)
class Ref:
    """The run that a param refers to.

    It is `runs.<uuid>` (32 hex digits), `ops.<name>`, or `dag` (its target is empty).
    """

    kind: Kind
    target: str = ""

    def __str__(self) -> str:
        return f"{self.kind}.{self.target}" if self.target else self.kind


@dataclass(frozen=True)
class Ask:
    """What a param reads of a run: a section, one name in it, or files (an ArtifactsType)."""

    section: Section
    name: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.section == "files":
            return json.dumps(dict(self.files), ensure_ascii=False)
        return f"{self.section}.{self.name}" if self.name else self.section


@dataclass(frozen=True)
class Upstream:
    """A run as the runs that refer to it see it, at one moment.

    `inputs` are None until they are known, and final once `frozen`; `outputs` and `artifacts` count
    once `done`. The keys of `NAMED_GLOBALS` are read of `globals`; a missing one reads as null.
    """

    uuid: str
    name: str
    phase: str
    globals: Mapping[str, Any]
    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None
    artifacts: tuple[Mapping[str, Any], ...] = ()
    done: bool = False
    frozen: bool = False
    deleting: bool = False
    #: The uuid of the run whose files it has, if it took an earlier run's result.
    original: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder with its files."""
        return self.original or self.uuid


@dataclass(frozen=True)
class Edge:
    """One run that another takes values from.

    `values` maps each param to what it reads, as written.
    """

    uuid: str
    name: str
    kind: str
    values: Mapping[str, str]
    #: The uuid of the run that has its files, if that is another one.
    original: str = ""


def list_event_refs(written: Any, *, is_alone: bool) -> dict[int, Ref]:
    """Return the runs that a run waits for by its `events`, by the index of the event.

    `is_alone`: no pipeline is around the run; else the pipeline waits for events of `ops.NAME`.
    """
    found = {}
    for index, event in enumerate(written if isinstance(written, list | tuple) else ()):
        ref = parse_ref(str(event.get("ref")), f"events[{index}].ref")
        if ref.kind == "runs" or is_alone:
            found[index] = ref
    return found


def parse_ref(text: str, path: str = "") -> Ref:
    """Parse `dag`, `ops.<name>` or `runs.<uuid>`; raises SpecError RefInvalid otherwise."""
    if text == "dag":
        return Ref("dag")
    kind, _, target = text.partition(".")
    if kind == "runs" and _UUID.fullmatch(target.lower()):
        return Ref("runs", target.lower().replace("-", ""))
    if kind == "ops" and target and not re.search(r"[.{}\s]", target):
        return Ref("ops", target)
    raise SpecError("RefInvalid", f"{quote(text)} {_fault(kind, target)}", path)


def _fault(kind: str, target: str) -> str:
    if kind == "runs":
        return "does not name a run: a uuid is 32 hexadecimal digits, with or without dashes"
    if kind == "ops":
        return "does not name an operation: ops.NAME, without dots, blanks or templates"
    near = find_nearest(kind, ("runs", "ops") if target else ("runs", "ops", "dag"))
    return (
        f"is no ref: {f'did you mean {near!r}? ' if near else ''}expected runs.UUID, ops.NAME or "
        "dag"
    )


def parse_ask(value: Any, path: str = "", *, known: Sequence[str] = NAMED_GLOBALS) -> Ask:
    """Parse the `value` beside a ref.

    It is a text such as `outputs.acc` (braces around it are optional) or an ArtifactsType. `known`
    are the globals that can be read.
    """
    if isinstance(value, Mapping):
        return Ask("files", files=_parse_files(value, path))
    if not isinstance(value, str):
        raise SpecError(
            "RefInvalid",
            f"what is asked of a run must be a text or files, found {quote(value)}",
            path,
        )
    text = value.strip()
    if text.startswith("{{") and text.endswith("}}"):
        text = text[2:-2].strip()
        if _EXPRESSION.search(text):
            message = (
                f"{quote(value)} is more than what is asked of a run; let a template work on it "
                "where the param is read"
            )
            raise SpecError("RefInvalid", message, path)
    section, dot, name = text.partition(".")
    if section not in _SECTIONS:
        raise SpecError(
            "RefInvalid",
            f"{quote(value)} asks for nothing that a run has{suggest(section, _SECTIONS)}",
            path,
        )
    ask = Ask(section, name)
    _check_name(ask, bool(dot), path, known)
    return ask


def _check_name(ask: Ask, dotted: bool, path: str, known: Sequence[str]) -> None:
    if dotted and not all(ask.name.split(".")):
        raise SpecError(
            "RefInvalid", f"'{ask.section}.{ask.name}' names nothing after the dot", path
        )
    if dotted and ask.section == "io":
        raise SpecError(
            "RefInvalid",
            f"'io' has no parts of its own; ask for '{ask.name}' instead of '{ask}'",
            path,
        )
    if ask.name.count(".") > (1 if ask.section == "artifacts" else 0):
        raise SpecError(
            "RefInvalid", f"'{ask}' has too many parts: expected {ask.section}.NAME", path
        )
    if ask.section == "globals" and ask.name and ask.name not in known:
        raise SpecError(
            "MissingValue", f"no run has 'globals.{ask.name}'{suggest(ask.name, known)}", path
        )


def _parse_files(value: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Validate an ArtifactsType; its `file`, the document's spelling, becomes `files`."""
    unknown = [key for key in value if key not in _FILE_KEYS]
    if unknown or not ({"files", "file", "dirs"} & set(value)):
        found = f"unknown key {quote(unknown[0])}" if unknown else "neither files nor dirs"
        raise SpecError(
            "RefInvalid", f"expected {{files: [...], dirs: [...]}}, found {found}", path
        )
    if "file" in value and "files" in value:
        raise SpecError("RefInvalid", "'file' and 'files' are the same; give one of them", path)
    parsed: dict[str, Any] = {}
    for key, entries in value.items():
        if key != "workers":
            _check_entries(entries, f"{path}.{key}")
        parsed[_FILE_KEYS[key]] = entries
    return parsed


def _check_entries(entries: Any, path: str) -> None:
    if not isinstance(entries, list):
        raise SpecError("RefInvalid", f"expected a list of paths, found {quote(entries)}", path)
    for index, entry in enumerate(entries):
        pair = entry if isinstance(entry, list) and len(entry) == 2 else [entry]
        if not all(isinstance(part, str) and part for part in pair):
            raise SpecError(
                "RefInvalid",
                f"expected a path or [from, to], found {quote(entry)}",
                f"{path}[{index}]",
            )
        if pair[0].startswith("/") or ".." in pair[0].split("/"):
            raise SpecError(
                "RefInvalid",
                f"{quote(pair[0])} leaves the run: its files are named from its own folder",
                path,
            )


def check_ref(name: str, param: Param) -> tuple[Ref, Ask]:
    """Parse the ref and the value of one param, without looking at other params.

    Raises SpecError with the path of each part that is wrong.
    """
    known = NAMED_GLOBALS if param.ref == "dag" else (*NAMED_GLOBALS, *SERVICE_GLOBALS)
    try:
        ref = parse_ref(param.ref or "", f"params.{name}.ref")
    except SpecError as error:
        raise SpecError.of(
            [*error.problems, *_find_problems(param.value, f"params.{name}.value", known)]
        ) from None
    ask = parse_ask(param.value, f"params.{name}.value", known=known)
    if ref.kind == "dag" and ask.section == "outputs":
        message = (
            "a pipeline has no outputs while its operations run; from 'dag' ask for "
            f"{list_names(_OF_DAG)}"
        )
        raise SpecError("RefInvalid", message, f"params.{name}.value")
    return ref, ask


def _find_problems(value: Any, path: str, known: Sequence[str]) -> Sequence[Problem]:
    try:
        parse_ask(value, path, known=known)
    except SpecError as error:
        return error.problems
    return ()


_OF_DAG = ("globals", "inputs", "io", "artifacts", "and one name in them")


def iter_refs(params: Mapping[str, Param]) -> Iterator[tuple[str, Ref, Ask]]:
    """Yield every param with a ref, in order. An empty text is a ref too (a wrong one)."""
    for name, param in params.items():
        if param.ref is not None:
            ref, ask = check_ref(name, param)
            yield name, ref, ask


def collect_refs(compiled: CompiledOperation) -> frozenset[Ref]:
    """Return the runs that an operation takes values from.

    Raises SpecError with every ref that is wrong by itself.
    """
    problems = check_refs(compiled)
    if problems:
        raise SpecError.of(problems)
    return frozenset(ref for _, ref, _ in iter_refs(compiled.params))


def check_refs(compiled: CompiledOperation) -> list[Problem]:
    """Find all problems in an operation's refs that need no cluster."""
    problems: list[Problem] = []
    for name, param in compiled.params.items():
        if param.ref is not None:
            try:
                check_ref(name, param)
            except SpecError as error:
                problems.extend(error.problems)
    return problems
