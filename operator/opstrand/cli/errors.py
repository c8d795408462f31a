"""Errors as exit codes and sentences: the one place that knows which is which.

Owns the exit codes, which scripts depend on. Nothing here or behind it ever prints a traceback unless it was asked for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from opstrand.errors import REASONS, PlatformError, Problem, SpecError


class ExitCode(IntEnum):
    """What a script may rely on. Never change a number."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    STOPPED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    BUG = 70
    TIMEOUT = 124
    INTERRUPTED = 130
    #: Whoever read our output went away: `opstrand ls | head -1`.
    PIPE = 141


class CliError(Exception):
    """What a command could not do: one sentence, what to do about it, and the exit code."""

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def explain(error: CliError | SpecError | PlatformError) -> tuple[list[str], ExitCode]:
    """The lines to show for an error, and the exit code that it stands for."""
    if isinstance(error, CliError):
        return _with_hint([f"error: {error.message}"], error.hint), error.code
    if isinstance(error, SpecError):
        return list(_explain_problems(error.problems)), ExitCode.USAGE
    return _explain_platform(error)


def _explain_problems(problems: tuple[Problem, ...]) -> Iterator[str]:
    """Every problem on its own line, the place first so that editors jump to it; each piece of advice once."""
    for problem in problems:
        yield f"error: {problem}"
    for reason in dict.fromkeys(problem.reason for problem in problems):
        if REASONS.get(reason):
            yield f"hint: {REASONS[reason]}"


def _explain_platform(error: PlatformError) -> tuple[list[str], ExitCode]:
    code, hint = _judge_status(getattr(error, "status", None), error.message)
    return _with_hint([f"error: {error.message}"], hint), code


#: HTTP status -> exit code and advice. None: not even a connection was configured; 0: nobody answered.
_JUDGEMENTS: dict[int | None, tuple[ExitCode, str]] = {
    None: (ExitCode.UNREACHABLE, "Name a kubeconfig by --kubeconfig or $KUBECONFIG, and a context of it by --context."),
    0: (ExitCode.UNREACHABLE, "Is the cluster up, and is this the right --context? `opstrand doctor` looks further."),
    400: (ExitCode.USAGE, ""),
    401: (ExitCode.UNREACHABLE, "The cluster did not accept the credentials: log in again, or choose another --context."),
    403: (ExitCode.UNREACHABLE, "Ask for the right that is named, or use another --project; `opstrand doctor` lists what you may do."),
    409: (ExitCode.USAGE, ""),
    422: (ExitCode.USAGE, ""),
}
_TRY_AGAIN = (ExitCode.UNREACHABLE, "Try again; if it stays, `opstrand doctor` looks further.")


def _judge_status(status: int | None, message: str) -> tuple[ExitCode, str]:
    if status != 404:
        return _JUDGEMENTS.get(status, _TRY_AGAIN)
    if is_kind_unknown(message):
        return ExitCode.UNREACHABLE, "opstrand is not installed in this cluster: kubectl apply -k manifests/"
    return ExitCode.NOT_FOUND, _missing_namespace(message)


def is_kind_unknown(message: str) -> bool:
    """Whether a 404 is about the whole kind of object, not about one object or its namespace: the CRDs are not there."""
    return "requested resource" in message or "page not found" in message


def _missing_namespace(message: str) -> str:
    return "A project is a namespace: create it first, or choose another by --project." if "namespaces" in message else ""


def _with_hint(lines: list[str], hint: str) -> list[str]:
    return [*lines, f"hint: {hint}"] if hint else lines
