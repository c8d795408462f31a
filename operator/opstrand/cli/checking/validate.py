"""Validate a submission without a cluster: list every error that is known before it is created.

Owns the order of the problems, by file and line, and which errors are left out for a component that
has no params yet. Every rule itself lives in `spec` and `core`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from opstrand.cli.files.submission import Submission
from opstrand.core.compiling.check import check_alone
from opstrand.core.compiling.compile import compile_alone, compile_operation
from opstrand.core.compiling.unsupported import find_missing
from opstrand.core.compiling.without_effect import find_idle
from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.hub import component_name
from opstrand.core.planning.connections import Catalog
from opstrand.core.planning.context_root import find_literal_files
from opstrand.core.templates.template import Evaluate
from opstrand.core.validate import validate_compiled
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.polyaxonfile import note_spellings, parse_operation
from opstrand.text import find_nearest

_TEMPLATE = "template.enabled"


@dataclass(frozen=True)
class Verdict:
    """All problems, in the order of the files, and notes about what cannot be validated here."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    #: False if these problems kept the rest from being validated.
    is_whole: bool = True

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Verdict:
        """Merge the verdicts on the objects of one file."""
        return cls(
            tuple(one for verdict in verdicts for one in verdict.problems),
            tuple(one for verdict in verdicts for one in verdict.notes),
        )

    def require(self) -> None:
        """Raise the problems as one error."""
        if self.problems:
            raise SpecError.of(self.problems)


def _doubt(given: Iterable[str], compiled: CompiledOperation) -> Iterator[str]:
    """Yield a note for a name of -P that no input or output has but that resembles one.

    Only templates can read such a value, so it is probably a typo.
    """
    declared = [io.name for io in (*compiled.inputs, *compiled.outputs)]
    for name in given:
        near = None if name in declared else find_nearest(name, declared)
        if near:
            yield (
                f"-P {name} is no input or output (did you mean '{near}'?): only templates can "
                "read it"
            )


def validate_submission(
    submission: Submission,
    *,
    evaluate: Evaluate,
    complete: bool,
    catalog: Catalog | None = None,
    for_cluster: bool = False,
) -> Verdict:
    """Return the verdict on an operation.

    `complete`: it is about to run, so every required value must be there. `catalog`: the
    connections that it may name (None: not known). `for_cluster`: it is not for `--local`, so what
    only a laptop lacks is no note.
    """
    try:
        operation = parse_operation(submission.spec, is_object=True)
        spellings = tuple(dict.fromkeys([*submission.notes, *note_spellings(operation)]))
        if operation.is_preset and not complete:
            return Verdict(
                notes=(
                    "a preset changes other files, and is validated whole with the one that it "
                    "changes",
                )
            )
        if operation.hub_ref and operation.component is None:
            component_name(operation.hub_ref)
            alone = compile_alone(operation)
            verdict = _validate_alone(submission, alone, str(operation.hub_ref), complete=complete)
            return replace(verdict, notes=(*spellings, *verdict.notes))
        compiled = compile_operation(operation)
    except SpecError as error:
        if not complete and [one.path.rpartition("component.")[2] for one in error.problems] == [
            _TEMPLATE
        ]:
            # As in the published package: a file that is a form to fill in is not wrong.
            return Verdict(notes=tuple(f"{one.path}: {one.message}" for one in error.problems))
        return Verdict(_place(submission, error.problems), is_whole=False)
    # A file that is only checked may be written for another version.
    is_run, complete = complete, complete or not submission.is_component or bool(submission.given)
    problems, notes = validate_compiled(
        compiled, evaluate=evaluate, complete=complete, is_run=is_run, catalog=catalog
    )
    notes += _doubt(submission.given, compiled)
    if not for_cluster:
        notes += find_literal_files(compiled.run)
    return Verdict(_place(submission, problems), (*spellings, *notes))


def _validate_alone(
    submission: Submission, alone: CompiledOperation, hub_ref: str, *, complete: bool
) -> Verdict:
    """Return the verdict on an operation whose component is in a cluster's hub and not here."""
    missing, wrong = find_missing(alone), check_alone(alone)
    notes = tuple(find_idle(alone, is_alone=True))
    if complete:
        return Verdict(_place(submission, [*wrong, *missing]), notes)
    unseen = f"the component {hub_ref!r} of the hub is not looked at here"
    return Verdict(_place(submission, wrong), (unseen, *(one.message for one in missing), *notes))


def _place(submission: Submission, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Add the file and line of each problem."""
    placed = submission.place(SpecError.of(problems[:MAX_PROBLEMS])).problems if problems else ()
    return in_order(placed)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, in the order of the files."""
    return tuple(
        sorted(
            dict.fromkeys(problems), key=lambda one: (one.source, one.line or 0, one.column or 0)
        )
    )
