"""Which run an argument of the command line names: by its name, its uuid, or a prefix of either.

Owns that a name may stand behind its type, as `-o name` prints it and kubectl reads it, that
`@latest` is the newest run, and that PIPELINE/OPERATION is the run of an operation. Must not fetch
anything: it chooses among the runs that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.console import say
from opstrand.core.names import child_name, run_uuid
from opstrand.core.recorded import read_status
from opstrand.local.named import creation_order
from opstrand.runs.members import is_root
from opstrand.text import list_names, suggest

Body = TypeVar("Body", bound=Mapping[str, Any])

#: A shorter beginning of a uuid would match by accident what is meant as a name.
_PREFIX = 4
#: What kubectl calls an Operation: in the CRD, the singular, the plural and the short names.
_TYPES = ("operation", "operations", "op", "ops")
#: What users of kubectl and of other tools write before a name.
_TYPE_WORDS = (*_TYPES, "run", "runs", "pod", "pods", "po", "job", "jobs", "workflow", "wf")
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

    NAME may be PIPELINE/OPERATION. Raises CliError if the type is not that of a run.
    """
    kind, slash, name = run.partition("/")
    if not slash:
        return run
    word, _, group = kind.lower().partition(".")
    is_type = word in _TYPES and group in ("", _GROUP, f"v1.{_GROUP}")
    if not all(run.split("/")) or (group and not is_type):
        raise _no_such_type(run)
    return name if is_type else run


def _no_such_type(run: str) -> CliError:
    return CliError(
        f"{run!r} does not name a run: expected NAME, {_TYPES[0]}.{_GROUP}/NAME or "
        "PIPELINE/OPERATION",
        hint=f"The types of a run are {list_names(_TYPES)}; `opstrand ls -o name` lists the runs.",
        code=ExitCode.NOT_FOUND,
    )


def explain_path(path: str, error: CliError) -> CliError:
    """Return the error of a text with a slash whose first part names no run."""
    pipeline, _, op = path.partition("/")
    hint = (
        f"{path} is the operation {op} of the pipeline {pipeline}. The types of a run are "
        f"{list_names(_TYPES)}."
    )
    return CliError(error.message, hint=hint, code=error.code)


class NoRun(CliError):
    """An operation of a pipeline has no run; `description` says why."""

    def __init__(self, op: str, pipeline: str, note: str, description: str) -> None:
        super().__init__(f"{op} of {pipeline} has no run: {note}", code=ExitCode.NOT_FOUND)
        self.description = description


def explain_no_op(pipeline: Mapping[str, Any], runs: Sequence[Body], op: str) -> CliError:
    """Return why a pipeline has no run of this operation; `runs` are those that it made."""
    # Imported here, because it needs a part of the engine.
    from opstrand.cli.output.pipelines.tree import describe_member
    from opstrand.runs.family import read_family
    from opstrand.runs.members import is_pipeline

    name = str(pipeline["metadata"]["name"])
    if not is_pipeline(pipeline):
        return CliError(f"{name} is no pipeline: it has no {op!r}", code=ExitCode.NOT_FOUND)
    family = read_family(pipeline, runs)
    member = family.find(op)
    if member is None:
        near = suggest(op, [one.op for one in family.members])
        return CliError(
            f"the pipeline {name} has no operation {op!r}{near}", code=ExitCode.NOT_FOUND
        )
    note = member.note or member.phase
    return NoRun(op, name, note, describe_member(family, member))


def name_child(pipeline: Mapping[str, Any], op: str) -> str:
    """Return the name of the run that a pipeline makes of its operation."""
    metadata = pipeline["metadata"]
    return child_name(str(metadata["name"]), run_uuid(str(metadata["uid"])), op)


def is_exact(run: str, body: Mapping[str, Any]) -> bool:
    """Whether the text is the whole name or uuid of the run, and not a beginning or `@latest`."""
    plain = run.rpartition("/")[2]
    metadata = body["metadata"]
    return plain == metadata["name"] or plain.replace("-", "") == run_uuid(metadata["uid"])


def choose(run: str, runs: Sequence[Body], project: str) -> Body:
    """Return the one run among these that the text names."""
    if run == LATEST and runs:
        return max([one for one in runs if is_root(one)] or runs, key=creation_order)
    plain = run.replace("-", "").lower()
    exact = [
        one
        for one in runs
        if one["metadata"]["name"] == run or run_uuid(one["metadata"]["uid"]) == plain
    ]
    found = exact or _choose_by_beginning(run, plain, runs)
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
        hint=_advise_missing(run, project),
        code=ExitCode.NOT_FOUND,
    )


def _advise_missing(run: str, project: str) -> str:
    if run.lower() in _TYPE_WORDS:
        return (
            "No type stands before a run here, or with a slash (op/NAME): `opstrand get NAME`, and "
            "`opstrand ls` for all."
        )
    if project.isdecimal():
        return "-n names the project; the last lines of a log are --tail N."
    return (
        "`opstrand ls` lists the runs; -n names another project, and --local the runs of this "
        "machine."
    )


def _choose_by_beginning(run: str, plain: str, runs: Sequence[Body]) -> list[Body]:
    """Return the runs that this begins, without those that a pipeline made if others are left.

    The names of a pipeline's runs begin with its own.
    """
    found = [one for one in runs if run and _begins(one, run, plain)]
    return [one for one in found if is_root(one)] or found


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
    is_due = newest > 0 and parse_phase(status) in (Phase.RETRYING, Phase.RESUMING)
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
