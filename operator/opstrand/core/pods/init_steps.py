"""Render the work of the init containers as data: JSON documents for `opstrand.initializer`.

Owns the format of those documents, and which steps share a container. Must not know how a document
is delivered (`init_containers` decides) nor touch a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.planning.connections import EMPTY, Catalog, Connection
from opstrand.core.planning.plan import Plan
from opstrand.core.pods.init_rules import is_container_step
from opstrand.core.pods.init_sources import Step, render_step
from opstrand.core.pods.volumes import CA_PATH, TOKEN_PATH, run_folders
from opstrand.errors import SpecError
from opstrand.settings import Settings

#: Where the published client looks for credentials.
AUTH_PATH = f"{CONTEXT_ROOT}/.configs/.auth"


@dataclass(frozen=True)
class Group:
    """Steps that one init container executes, or (`container`) a user's container.

    `used` are the connections whose volumes and secrets it reads. With both `container` and
    `steps`, it is the operator's container with the user's fields merged over it.
    """

    steps: tuple[Step, ...] = ()
    used: tuple[Connection, ...] = ()
    container: Mapping[str, Any] | None = None
    #: The path of that container in the polyaxonfile.
    place: str = "run.init"

    @property
    def runs_theirs(self) -> bool:
        """Whether the program is the user's own.

        It looks for its connections where main does, and does not know the operator's folders.
        """
        given = self.container
        return given is not None and (
            not self.steps or any(key in given for key in ("image", "command", "args"))
        )

    @property
    def needs_scratch(self) -> bool:
        return any(step["kind"] == "git" for step in self.steps)


@dataclass
class _Fused:
    """Consecutive built-in steps that are collected for one container."""

    steps: list[Step] = field(default_factory=list)
    used: dict[str, Connection] = field(default_factory=dict)

    def close(self) -> Group:
        return Group(tuple(self.steps), tuple(self.used.values()))


def group_steps(plan: Plan, settings: Settings, catalog: Catalog = EMPTY) -> list[Group]:
    """Group the init steps into containers, in their order.

    The first is always the operator's: it creates the folders. Raises SpecError for what cannot be
    fetched.
    """
    groups: list[Group] = []
    fused = _Fused()
    for one, path in plan.placed_init:
        steps: tuple[Step, ...] = ()
        used: Connection | None = None
        if not is_container_step(one):
            try:
                steps, used = render_step(one, plan, settings, catalog)
            except SpecError as error:
                raise error.within(path) from None
        if "container" not in one:
            fused.steps += steps
            if used is not None:
                fused.used[used.name] = used
            continue
        if fused.steps or not groups:
            groups.append(fused.close())
            fused = _Fused()
        groups.append(Group(tuple(steps), (used,) if used else (), one["container"], path))
    return [*groups, fused.close()] if fused.steps or not groups else groups


def render_init_document(
    plan: Plan, settings: Settings, group: Group, catalog: Catalog = EMPTY, *, is_first: bool = True
) -> dict[str, Any]:
    """Render the document of one container.

    The first document begins with the directories, credentials and the import shim.
    """
    folders = [
        folder
        for run_path in run_folders(plan, catalog)
        for folder in (run_path, f"{run_path}/outputs")
    ]
    api = {
        "url": settings.api_url,
        "patience": settings.api_patience,
        "run": f"{plan.owner}/{plan.project}/runs/{plan.uuid}",
    }
    trust = {"target": CA_PATH, "text": settings.api_ca}
    if settings.api_ca:
        api["ca"] = CA_PATH
    needs_api = is_first or any(step["kind"] == "git" for step in group.steps)
    return {
        **({"trust": trust} if settings.api_ca and is_first else {}),
        "directories": folders if is_first else [],
        "auth": {"token": TOKEN_PATH, "target": AUTH_PATH}
        if is_first and _wants_auth(plan)
        else None,
        "api": api if needs_api else None,
        "shim": ARTIFACTS_PATH if is_first else None,
        "steps": list(group.steps),
        "token": TOKEN_PATH,
    }


def encode(document: Mapping[str, Any]) -> str:
    """Return the document's canonical text."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _wants_auth(plan: Plan) -> bool:
    return plan.plugins.get("auth") is not False
