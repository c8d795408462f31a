"""The fields of a run that a query can name, and how each is read.

Owns their names. Works on an `Upstream` and on a mapping in the API's spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.resolving.refs import Upstream
from opstrand.errors import SpecError
from opstrand.text import shorten, suggest

TIMES = ("created_at", "updated_at", "started_at", "finished_at", "schedule_at")
_PLAIN = (
    "name",
    "status",
    "kind",
    "runtime",
    "description",
    "tags",
    "owner",
    "project",
    "pipeline",
    "controller",
    "original",
    "cache_key",
)
_NUMBERS = ("duration", "wait_time")
#: Fields that hold a uuid, which may be written with or without dashes.
UUIDS = ("uuid", "id", "pipeline", "controller", "original", "upstream", "upstream.uuid")
FIELDS = (
    "uuid",
    "id",
    *_PLAIN,
    *TIMES,
    *_NUMBERS,
    "cloning_kind",
    "is_managed",
    "pending",
    "upstream",
)
#: How a section may be written -> its name.
SECTIONS = {
    "inputs": "inputs",
    "in": "inputs",
    "params": "inputs",
    "outputs": "outputs",
    "out": "outputs",
    "metrics": "outputs",
    "meta_values": "meta_info",
    "meta_info": "meta_info",
    "meta": "meta_info",
    "artifacts": "artifacts",
    "upstream": "upstream",
    "project": "project",
}
#: Fields of each item of a list that a run has. Any other name after `artifacts.` is the name of an
#: artifact, and means its path.
_PARTS = {"artifacts": ("name", "kind", "path", "state"), "upstream": ("uuid", "name", "kind")}
#: Sections that have only these names.
_NAMES = {"upstream": _PARTS["upstream"], "project": ("name", "owner")}


def check_field(field: str, path: str) -> str:
    section, dot, name = field.partition(".")
    if field in FIELDS or (
        dot and name and section in SECTIONS and name in _NAMES.get(section, (name,))
    ):
        return field
    raise SpecError(
        "InvalidSpec",
        f"a run has no '{shorten(field, 60)}' to search by{suggest(field, (*FIELDS, *SECTIONS))}",
        path,
    )


def read_field(run: Any, field: str) -> Any:
    """Read a field of an `Upstream`, or of a mapping in the API's spelling.

    Returns a list if the run has several values.
    """
    section, dot, name = ("upstream", ".", "uuid") if field == "upstream" else field.partition(".")
    if dot:
        return _read_section(SECTIONS[section], name, run)
    return _read_plain(run, "uuid" if field == "id" else field)


def _read_plain(run: Any, field: str) -> Any:
    if not isinstance(run, Upstream):
        return run.get(field)
    if field == "name":
        return run.globals.get("shown_name", run.name)
    if field in ("uuid", "inputs", "outputs", "artifacts"):
        return getattr(run, field)
    return run.globals.get({"owner": "owner_name", "project": "project_name"}.get(field, field))


def _read_section(section: str, name: str, run: Any) -> Any:
    if section == "project":
        return _read_plain(run, "owner" if name == "owner" else "project")
    values = _read_plain(run, section) or {}
    if name in _PARTS.get(section, ()):
        return [one[name] for one in values if one.get(name) is not None]
    if section == "artifacts" and not isinstance(values, Mapping):
        values = {artifact.get("name"): artifact.get("path") for artifact in values}
    return values.get(name)
