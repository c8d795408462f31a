"""`opstrand check`: for editors, pre-commit hooks and CI."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opstrand.cli.command import command
from opstrand.cli.errors import CliError, ExitCode, list_advice
from opstrand.cli.options import file_options, output_option
from opstrand.cli.output.console import say, say_suggestion, show
from opstrand.errors import Known, Problem, SpecError, advise
from opstrand.text import inline

if TYPE_CHECKING:
    from opstrand.cli.checking.validate import Verdict
    from opstrand.controller.template_worker import Sandbox
    from opstrand.spec.document import Document


#: What a polyaxonfile or an object of ours has in it; a file of another tool has none of these.
_OURS = re.compile(
    rb"""^\s*["']?(?:kind["']?\s*:\s*["']?(?:component|operation)\b|isPreset\b|"""
    rb"""apiVersion["']?\s*:\s*["']?opstrand\.dev/)""",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Case:
    """Files that make one operation."""

    files: tuple[str, ...]
    verdict: Verdict


@command
@file_options
@click.argument("each", nargs=-1, metavar="[FILE]...")
@output_option("text", "json")
def check(
    files: tuple[str, ...],
    each: tuple[str, ...],
    params: tuple[str, ...],
    strict_params: bool | None,
    output: str,
) -> int:
    """Validate polyaxonfiles: every error with its file and line.

    Several -f make one operation with presets; each FILE without -f is validated by itself, and `-`
    is stdin. Of a folder it validates every file that is a polyaxonfile. A FILE may also hold
    Operations and Components for kubectl. No cluster is needed. The exit code is 0 if all are
    valid, else 2.
    """
    named = [name for one in each for name in (find_files(one) if os.path.isdir(one) else [one])]
    groups = [*([files] if files else []), *((name,) for name in named)]
    if not groups:
        raise CliError("there is nothing to check", hint="opstrand check FILE...")
    # Imported here, so that completion does not wait for the engine.
    from opstrand.controller.template_worker import Sandbox

    with Sandbox() as sandbox:
        cases = [_Case(group, _validate(group, params, strict_params, sandbox)) for group in groups]
    (_show_json if output == "json" else _show_text)(cases)
    return ExitCode.USAGE if any(case.verdict.problems for case in cases) else ExitCode.SUCCEEDED


def find_files(folder: str) -> list[str]:
    """Return the polyaxonfiles in a folder and below it, and objects for kubectl of our group.

    Files of other tools are left out. Raises CliError if there is none of ours.
    """
    found = [
        str(path)
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in (".yaml", ".yml")
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and _OURS.search(path.read_bytes())
    ]
    if not found:
        raise CliError(
            f"{folder}: there is no polyaxonfile in this folder",
            hint="A file that is checked has `kind: component` or `kind: operation`.",
        )
    return found


def _validate(
    files: Sequence[str], params: Sequence[str], strict: bool | None, sandbox: Sandbox
) -> Verdict:
    from opstrand.cli.checking.manifests import find_manifests, validate_manifest
    from opstrand.cli.checking.recovery import validate_rest
    from opstrand.cli.checking.validate import Verdict, validate_submission
    from opstrand.cli.files.references import FileError, read_bytes, read_file, source_of
    from opstrand.cli.files.submission import read_submission
    from opstrand.spec.polyaxonfile import read_polyaxonfile

    try:
        first = read_bytes(files[0])
        manifests = find_manifests(first, source_of(files[0])) if len(files) == 1 else []
        if manifests:
            _refuse_params(files[0], params, strict)
            return Verdict.of(
                [validate_manifest(one, evaluate=sandbox.for_one_run()) for one in manifests]
            )
        presets = [
            read_file(name) if name == "-" else name for name in files[1:]
        ]  # stdin can be read once

        def validate_once(document: Document) -> Verdict:
            try:
                submission = read_submission([document, *presets], params, strict=strict)
            except SpecError as error:
                return Verdict(error.problems, is_whole=False)
            return validate_submission(submission, evaluate=sandbox.for_one_run(), complete=False)

        return validate_rest(read_polyaxonfile(first, source=source_of(files[0])), validate_once)
    except SpecError as error:
        return Verdict(error.problems)
    except FileError as error:
        # This is a problem of one file; the others are still validated.
        return Verdict((Problem("InvalidSpec", f"cannot be read: {error.why}", source=error.name),))
    except CliError as error:
        return Verdict((Problem("InvalidSpec", error.message),))


def _refuse_params(name: str, params: Sequence[str], strict: bool | None) -> None:
    if params or strict is not None:
        raise CliError(
            f"{name}: an object for kubectl has its params in it",
            hint="Leave out -P and --strict-params.",
        )


def _show_text(cases: Sequence[_Case]) -> None:
    for case in cases:
        for problem in case.verdict.problems:
            show(inline(str(problem)))
        for note in case.verdict.notes:
            say(f"note: {case.files[0]}: {note}")
    placed = [
        problem
        for case in cases
        for problem in case.verdict.problems
        if problem.path or problem.line
    ]
    for hint in list_advice(placed):
        say(f"hint: {hint}")
    for text in dict.fromkeys(one.suggestion for one in placed if one.suggestion):
        say_suggestion(text)
    say(_count(cases), "red" if any(case.verdict.problems for case in cases) else "green")


def _count(cases: Sequence[_Case]) -> str:
    wrong = sum(bool(case.verdict.problems) for case in cases)
    if wrong:
        errors = sum(len(case.verdict.problems) for case in cases)
        return (
            f"{errors} error{'s' * (errors != 1)} in {wrong} of {len(cases)} "
            f"file{'s' * (len(cases) != 1)}"
        )
    return f"{cases[0].files[0]} is valid" if len(cases) == 1 else f"{len(cases)} files are valid"


def _show_json(cases: Sequence[_Case]) -> None:
    from opstrand.cli.output.format import as_json

    show(
        as_json(
            [
                {"files": list(case.files), "valid": not case.verdict.problems, **_facts(case)}
                for case in cases
            ]
        )
    )


def _facts(case: _Case) -> dict[str, object]:
    return {"errors": list(_errors(case.verdict)), "notes": list(case.verdict.notes)}


def _errors(verdict: Verdict) -> Iterator[dict[str, object]]:
    for problem in verdict.problems:
        known = Known(has_path=bool(problem.path))
        yield {**asdict(problem), "hint": advise(problem.reason, known)}
