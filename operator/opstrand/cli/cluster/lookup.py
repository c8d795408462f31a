"""Which run an argument of the command line names: by its name, its uuid, or a prefix of either.

Owns that a name may stand behind its type, as `-o name` prints it and kubectl reads it, and that
`@latest` is the newest run. Must not fetch anything: it chooses among the runs that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.console import say
from opstrand.core.names import run_uuid
from opstrand.core.recorded import read_status
from opstrand.local.named import creation_order
from opstrand.text import list_names, suggest

Body = TypeVar("Body", bound=Mapping[str, Any])

#: A shorter beginning of a uuid would match by accident what is meant as a name.
_PREFIX = 4
#: What kubectl calls an Operation: in the CRD, the singular, the plural and the short names.
_TYPES = ("operation", "operations", "op", "ops")
_GROUP = "opstrand.dev"
#: Names the newest run of the project.
LATEST = "@latest"


def is_name(text: str) -> bool:
    """Whether this can be an object's name: any other text would change the URL."""
    return (
        0 < len(text) < 254
        and all(letter.isalnum() or letter in "-." for letter in text)
        and text.isascii()
    )


def strip_type(run: str) -> str:
    """Return the NAME of TYPE/NAME; a text without a type is returned as it is.

    Raises CliError if the type is not that of a run.
    """
    kind, slash, name = run.partition("/")
    if not slash:
        return run
    word, _, group = kind.lower().partition(".")
    if word in _TYPES and group in ("", _GROUP, f"v1.{_GROUP}") and name and "/" not in name:
        return name
    raise CliError(
        f"{run!r} does not name a run: expected NAME or {_TYPES[0]}.{_GROUP}/NAME",
        hint=f"The types of a run are {list_names(_TYPES)}; `opstrand ls -o name` lists the runs.",
        code=ExitCode.NOT_FOUND,
    )


def is_exact(run: str, body: Mapping[str, Any]) -> bool:
    """Whether the text is the whole name or uuid of the run, and not a beginning or `@latest`."""
    plain = run.rpartition("/")[2]
    metadata = body["metadata"]
    return plain == metadata["name"] or plain.replace("-", "") == run_uuid(metadata["uid"])


def choose(run: str, runs: Sequence[Body], project: str) -> Body:
    """Return the one run among these that the text names."""
    if run == LATEST and runs:
        return max(runs, key=creation_order)
    plain = run.replace("-", "").lower()
    exact = [
        one
        for one in runs
        if one["metadata"]["name"] == run or run_uuid(one["metadata"]["uid"]) == plain
    ]
    found = exact or [one for one in runs if run and _begins(one, run, plain)]
    if len(found) == 1:
        return found[0]
    names = [one["metadata"]["name"] for one in found or runs]
    if found:
        raise CliError(
            f"{run!r} could be any of {list_names(names)}",
            hint="Give the whole name, or more of the uuid.",
        )
    raise CliError(
        f"there is no run {run!r} in project {project!r}{suggest(run, names) if names else ''}",
        code=ExitCode.NOT_FOUND,
    )


def _begins(body: Mapping[str, Any], run: str, plain: str) -> bool:
    if str(body["metadata"]["name"]).startswith(run):
        return True
    return len(plain) >= _PREFIX and run_uuid(body["metadata"]["uid"]).startswith(plain)


def choose_attempt(body: Any, wanted: int | None) -> int:
    """Return the number of the attempt: None is the newest that has begun, -1 the one before it.

    Raises CliError if there is no such attempt.
    """
    from opstrand.core.phase import Phase, parse_phase

    name, status = body["metadata"]["name"], read_status(body)
    newest = int(status.get("attempt") or 0)
    is_due = newest > 0 and parse_phase(status) is Phase.RETRYING
    begun = newest - 1 if is_due else newest
    if is_due and wanted is None:
        say(f"(this is attempt {begun}; attempt {newest} has not begun)", "dim")
    if wanted is not None and "service" in status:
        raise CliError(
            f"{name} is a service: Kubernetes starts its containers again, which are no attempts"
        )
    number = begun if wanted is None else begun + wanted if wanted < 0 else wanted
    if not 0 <= number <= begun:
        there = "attempt 0 is the only one" if begun == 0 else f"there are attempts 0 to {begun}"
        asked = "--previous" if (wanted or 0) < 0 else f"--attempt {wanted}"
        raise CliError(f"{asked}: {name} has no such attempt: {there}", code=ExitCode.NOT_FOUND)
    return number
