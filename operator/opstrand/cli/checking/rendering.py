"""Render a submission stage by stage, with the same pure functions as the engine and no cluster.

Owns the object that a cluster would have made of it. Its identity is given, or fixed, so that the
same file always renders the same. Must not render anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opstrand.cli.errors import CliError
from opstrand.cli.files.references import read_bytes, source_of
from opstrand.cli.files.submission import Submission
from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.names import (
    API_VERSION,
    CREATED_BY,
    MAX_RUN_NAME,
    PLATFORM_RETRIES,
    generate_name,
    is_run_name,
    run_uuid,
)
from opstrand.core.planning.connections import Catalog
from opstrand.core.pods.attempt import Attempt, render_attempt
from opstrand.core.resolving.refs import Ref, Upstream
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.resolving.upstream import read_upstream
from opstrand.core.resolving.waits import Waiting
from opstrand.core.templates.template import Evaluate
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.spec.document import LISTS, parse_documents

#: The parts of a status that refs read.
_STATUS = (
    ("inputs", dict),
    ("reportedInputs", dict),
    ("outputs", dict),
    ("service", dict),
    ("artifacts", list),
    ("conditions", list),
    ("history", list),
)
#: The uid of a run that was not created.
NO_UID = "00000000-0000-0000-0000-000000000000"


def make_operation(
    submission: Submission, *, name: str | None, platform_retries: int | None = None
) -> dict[str, Any]:
    """Return the object to create.

    The command line overrides the file: the name by which the user wants to find the run, and how
    often its Pod may be lost.
    """
    spec = {key: value for key, value in submission.spec.items() if not (name and key == "name")}
    metadata: dict[str, Any] = (
        {"name": check_name(name)} if name else {"generateName": generate_name(submission.prefix)}
    )
    mark = {CREATED_BY: "cli"}
    retries = {} if platform_retries is None else {PLATFORM_RETRIES: str(platform_retries)}
    metadata |= {"labels": mark, "annotations": {**mark, **retries}}
    return {"apiVersion": API_VERSION, "kind": "Operation", "metadata": metadata, "spec": spec}


def check_name(name: str) -> str:
    """Return a run's name if Kubernetes accepts it. Raises SpecError InvalidName."""
    if not is_run_name(name):
        shown = name if len(name) <= MAX_RUN_NAME else f"{name[:20]}… ({len(name)} characters)"
        raise SpecError("InvalidName", f"{shown!r} is no name for a run", "--name")
    return name


def fix_identity(body: Mapping[str, Any], *, project: str, uid: str | None) -> dict[str, Any]:
    """Return the object as if it had been created: with a uid, a name and a namespace."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "generateName"}
    name = body["metadata"].get("name") or body["metadata"]["generateName"].rstrip("-")
    fixed = {
        **metadata,
        "name": name,
        "namespace": project,
        "uid": parse_uid(uid) if uid else NO_UID,
        "generation": 1,
    }
    return {**body, "metadata": fixed}


def parse_uid(text: str) -> str:
    """Return a uuid with or without dashes as an object's uid. Raises CliError for other text."""
    plain = run_uuid(text)
    if len(plain) != 32 or set(plain) - set("0123456789abcdef"):
        raise CliError(f"--uuid {text!r}: expected 32 hexadecimal digits, with or without dashes")
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def read_upstreams(bodies: Sequence[Mapping[str, Any]], settings: Settings) -> dict[Ref, Upstream]:
    """Index Operation objects with their status by the refs that may name them."""
    found: dict[Ref, Upstream] = {}
    for body in bodies:
        upstream = read_upstream(body, settings)
        found[Ref("runs", upstream.uuid)] = upstream
        found[Ref("ops", str(body["metadata"]["name"]))] = upstream
    return found


def read_objects(name: str) -> list[Mapping[str, Any]]:
    """Return the Operations in a file of YAML documents, or of Lists as kubectl prints them.

    `-` is stdin. Raises CliError for anything else.
    """
    try:
        documents = parse_documents(
            read_bytes(name, LISTS.bytes), source=source_of(name), limits=LISTS
        )
    except SpecError as error:
        raise CliError(f"could not read {name}: {error.message}") from None
    listed = [item for one in documents for item in _list_items(one.data)]
    for index, one in enumerate(listed, 1):
        if fault := _find_fault(one):
            raise CliError(f"{name}: document {index} is no Operation with its status: {fault}")
    return listed


def _list_items(document: Any) -> list[Any]:
    items = document.get("items") if isinstance(document, Mapping) else None
    return items if isinstance(items, list) else [document]


def _find_fault(body: Any) -> str | None:
    """Return what an object lacks that the cluster gives to each, or None."""
    if not isinstance(body, Mapping) or body.get("kind") != "Operation":
        return (
            f"its kind is {body.get('kind')!r}"
            if isinstance(body, Mapping)
            else "expected a mapping"
        )
    metadata, status = body.get("metadata"), body.get("status") or {}
    for key in ("name", "namespace", "uid"):
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get(key), str):
            return f"it has no metadata.{key}"
    if not isinstance(status, Mapping):
        return "its status is no mapping"
    wrong = [key for key, kind in _STATUS if not isinstance(status.get(key) or kind(), kind)]
    return (
        f"its status.{wrong[0]} is no {'list' if dict(_STATUS)[wrong[0]] is list else 'mapping'}"
        if wrong
        else None
    )


@dataclass(frozen=True)
class Rendering:
    """Every stage of one run. Each raises SpecError with the paths of the merged operation."""

    body: Mapping[str, Any]
    settings: Settings
    upstreams: Mapping[Ref, Upstream]
    evaluate: Evaluate
    #: None: no catalog was given, and an operation that names a connection cannot be rendered.
    catalog: Catalog | None = None

    @cached_property
    def prepared(self) -> Prepared:
        prepared = prepare(self.body, settings=self.settings)
        if prepared.compiled is None:
            raise SpecError(
                "ComponentNotFound",
                f"the component {prepared.missing_component!r} is in a cluster's hub",
                "hubRef",
            )
        return prepared

    @cached_property
    def resolved(self) -> Resolved:
        assert self.prepared.compiled is not None
        asked = {ref: self.upstreams.get(ref) for ref in self.prepared.refs}
        found = resolve(
            self.prepared.compiled,
            self.prepared.identity,
            asked,
            project=self._others(),
            evaluate=self.evaluate,
        )
        if isinstance(found, Waiting):
            raise CliError(
                f"it would wait: {found.message}",
                hint="Give the runs that it refers to by --upstream FILE.",
            )
        return found

    def _others(self) -> list[Upstream]:
        """Return each given run once: a join's query chooses among them."""
        return list({upstream.uuid: upstream for upstream in self.upstreams.values()}.values())

    @cached_property
    def attempt(self) -> Attempt:
        return render_attempt(
            self.prepared,
            self.resolved,
            body=self.body,
            number=0,
            settings=self.settings,
            evaluate=self.evaluate,
            catalog=self.catalog,
        )
