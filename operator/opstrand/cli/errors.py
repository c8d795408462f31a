"""Errors as exit codes and sentences: the one place that maps them.

Owns the exit codes, which scripts depend on. No command prints a traceback unless the user asks for
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from opstrand.errors import Known, PlatformError, Problem, SpecError, advise


class ExitCode(IntEnum):
    """The exit codes that scripts rely on. Never change a number."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    STOPPED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    BUG = 70
    TIMEOUT = 124
    INTERRUPTED = 130
    #: The reader of our output closed the pipe: `opstrand ls | head -1`.
    PIPE = 141


class CliError(Exception):
    """Why a command failed: one sentence, what to do about it, and the exit code."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


@dataclass(frozen=True)
class Explanation:
    """What to show for an error, and its exit code."""

    errors: tuple[str, ...]
    hints: tuple[str, ...]
    code: ExitCode
    #: YAML that may be written instead.
    suggestions: tuple[str, ...] = ()


def explain(error: CliError | SpecError | PlatformError) -> Explanation:
    if isinstance(error, CliError):
        return _explain_one(error.message, error.hint, error.code)
    if isinstance(error, SpecError):
        return _explain_problems(error)
    return _explain_platform(error)


def _explain_one(message: str, hint: str, code: ExitCode) -> Explanation:
    return Explanation((message,), (hint,) if hint else (), code)


def _explain_problems(error: SpecError) -> Explanation:
    """Put every problem on its own line, which begins with file and line for editors to jump to.

    Each piece of advice is given once.
    """
    errors, hints = tuple(map(str, error.problems)), tuple(list_advice(error.problems))
    return Explanation(errors, hints, ExitCode.USAGE, error.suggestions)


def list_advice(problems: Sequence[Problem]) -> list[str]:
    """Return the advice for each reason once; it names a path only if one is shown."""
    places: dict[str, bool] = {}
    for problem in problems:
        places[problem.reason] = places.get(problem.reason, False) or bool(problem.path)
    hints = (advise(reason, Known(has_path=has_path)) for reason, has_path in places.items())
    return [hint for hint in hints if hint]


def _explain_platform(error: PlatformError) -> Explanation:
    if not hasattr(error, "status") and error.reason != "ClusterUnreachable":
        # It came from this machine, such as from the process that evaluates templates.
        return _explain_one(error.message, "Try again.", ExitCode.UNREACHABLE)
    code, hint = _classify_status(getattr(error, "status", None), error)
    return _explain_one(error.message, error.advice or hint, code)


#: HTTP status -> exit code and advice. None: no connection was configured; 0: no server answered.
_JUDGEMENTS: dict[int | None, tuple[ExitCode, str]] = {
    None: (
        ExitCode.UNREACHABLE,
        "Name a kubeconfig by --kubeconfig or $KUBECONFIG, and a context of it by --context.",
    ),
    0: (
        ExitCode.UNREACHABLE,
        "Is the cluster up, and is this the right --context? `opstrand doctor` looks further.",
    ),
    400: (ExitCode.USAGE, ""),
    401: (
        ExitCode.UNREACHABLE,
        "The cluster did not accept the credentials: log in again, or choose another --context.",
    ),
    403: (
        ExitCode.UNREACHABLE,
        "Ask for the right that is named, or use another --project; `opstrand doctor` lists what "
        "you may do.",
    ),
    409: (ExitCode.USAGE, ""),
    422: (ExitCode.USAGE, ""),
}
_NO_NAMESPACE = "A project is a namespace: create it first, or choose another by --project."
_TRY_AGAIN = (ExitCode.UNREACHABLE, "Try again; if it stays, `opstrand doctor` looks further.")


def _classify_status(status: int | None, error: PlatformError) -> tuple[ExitCode, str]:
    if status != 404:
        return _JUDGEMENTS.get(status, _TRY_AGAIN)
    if is_kind_unknown(error):
        return (
            ExitCode.UNREACHABLE,
            "opstrand is not installed in this cluster: kubectl apply -k manifests/",
        )
    return ExitCode.NOT_FOUND, _NO_NAMESPACE if _missing_kind(error) == "namespaces" else ""


def is_kind_unknown(error: PlatformError) -> bool:
    """Whether a 404 is about the whole kind of object: the CRDs are not there.

    A 404 about an object or its namespace names the kind in its `details`.
    """
    return not _missing_kind(error)


def _missing_kind(error: PlatformError) -> str:
    details = getattr(error, "body", {}).get("details")
    return str(details.get("kind") or "") if isinstance(details, dict) else ""
