"""Merge the user's files, presets and -P values into the `spec` of an Operation.

Owns the order (first file, presets over it, values over all) and where each part was written. Must
not validate the parts beyond their shape: `validate_submission` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstrand.cli.errors import CliError
from opstrand.cli.files.references import Reader, read_file
from opstrand.cli.files.source_map import Layer, place
from opstrand.core.compiling.compile import apply_presets
from opstrand.core.names import GROUP
from opstrand.errors import SpecError
from opstrand.spec.document import Document
from opstrand.spec.params import PARAM_KEYS
from opstrand.spec.polyaxonfile import note_spellings, parse_operation, parse_polyaxonfile

#: What stands behind the sign: a run and one of the values that a ref can read.
_REF = re.compile(
    r"(?P<run>[A-Za-z0-9][\w-]*)\.(?P<value>(?:inputs|outputs|artifacts|globals|io)(?:\..+)?)"
)
_UUID = re.compile(r"[0-9a-f]{32}")
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class GivenRef:
    """A param of the command line that takes its value from another run."""

    ref: str
    value: str


@dataclass(frozen=True)
class Submission:
    """An operation as it will be sent, and where its parts came from."""

    spec: Mapping[str, Any]
    layers: tuple[Layer, ...]
    given: Mapping[str, Any]
    #: The file holds a bare component, whose inputs may still have no value.
    is_component: bool
    #: Hints for the user about how the files are written.
    notes: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The prefix of the run's name: the operation's name, or the component's, or the file's."""
        component = self.spec.get("component")
        names = [
            self.spec.get("name"),
            component.get("name") if isinstance(component, Mapping) else None,
            self.spec.get("hubRef"),
        ]
        return next((str(name) for name in names if name), None) or self._stem() or "run"

    def _stem(self) -> str:
        source = self.layers[0].document.source if self.layers else ""
        return Path(source).stem if source and not source.startswith("<") else ""

    def place(self, error: SpecError) -> SpecError:
        return place(error, self.layers, self.given)


def is_manifest(document: Document) -> bool:
    """Whether this is an object of ours for kubectl."""
    version = document.data.get("apiVersion") if isinstance(document.data, Mapping) else None
    return isinstance(version, str) and version.partition("/")[0] == GROUP


def parse_params(texts: Sequence[str]) -> dict[str, Any]:
    """Parse `-P name=value`: texts, and mappings with a ref for `-P name=@RUN.outputs.loss`.

    Raises CliError for another form, and for a name given twice.
    """
    given: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise CliError(
                f"-P {text!r}: expected NAME=VALUE", hint="Quote the whole: -P 'message=test 1'."
            )
        if name.strip() in given:
            raise CliError(f"-P {name.strip()} is given twice", hint="Leave one of them out.")
        given[name.strip()] = _parse_value(value)
    return given


def _parse_value(text: str) -> str | GivenRef:
    """Return a ref for `@RUN.outputs.loss`; `@@RUN.outputs.loss` is the text with one sign."""
    found = _REF.fullmatch(text.removeprefix("@@") if text.startswith("@@") else text[1:])
    if found is None or not text.startswith("@"):
        return text
    if text.startswith("@@"):
        return text[1:]
    run = found["run"]
    kind = "runs" if _UUID.fullmatch(run) else "ops"
    return GivenRef(f"{kind}.{run}", found["value"])


def read_submission(
    files: Sequence[str | Document],
    params: Sequence[str],
    *,
    strict: bool | None = None,
    hub: str | None = None,
    values: Mapping[str, Any] = _NONE,
) -> Submission:
    """Read everything that the command line names as one operation.

    `values` are params that files give; `params` win over them. Raises SpecError with lines, or
    CliError.
    """
    if not files and not hub:
        raise CliError("there is nothing to read", hint="Name a file by -f FILE.")
    given = {**values, **parse_params(params)}
    written, reader, is_component = _read_files(files)
    if hub:
        if written.get("component") is not None:
            raise CliError("the file has a component of its own: leave out --hub, or the component")
        written["hubRef"] = hub
    if strict is not None:
        written["strictParams"] = strict
    written = _give(written, given)
    return Submission(written, tuple(reader.layers), given, is_component, tuple(reader.notes))


def again(spec: Mapping[str, Any], params: Sequence[str]) -> Submission:
    """Return the operation of an earlier run with other values of some params.

    What was asked of that run while it ran is not asked of the next one.
    """
    given = parse_params(params)
    kept = {key: value for key, value in spec.items() if key != "control"}
    return Submission(_give(kept, given), (), given, is_component=False)


def _give(written: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operation with these params over its own."""
    if not given:
        return written
    before = written.get("params") or {}
    return {**written, "params": {**before, **_merge_params(before, given)}}


def _read_files(files: Sequence[str | Document]) -> tuple[dict[str, Any], Reader, bool]:
    reader = Reader()
    if not files:
        return {}, reader, False
    first = _read(files[0])
    if is_manifest(first):
        hint = (
            f"`kubectl apply -f {first.source}` runs it, "
            f"`opstrand check {first.source}` validates it."
        )
        raise CliError(
            f"{first.source}: this is an object for kubectl, and no polyaxonfile", hint=hint
        )
    operation = parse_polyaxonfile(first.data, document=first)
    is_component = first.data.get("kind") == "component"
    reader.layers.append(Layer(first, ("component",) if is_component else ()))
    reader.notes += note_spellings(operation)
    written: Mapping[str, Any] = operation.written
    for file in files[1:]:
        written = _merge_preset(written, file, reader)
    return reader.inline(written, first.source), reader, is_component


def _read(file: str | Document) -> Document:
    return read_file(file) if isinstance(file, str) else file


def _merge_preset(
    written: Mapping[str, Any], file: str | Document, reader: Reader
) -> Mapping[str, Any]:
    preset = _read(file)
    if preset.data is None:
        return written
    layer = Layer(preset)
    reader.layers.append(layer)
    if not isinstance(preset.data, Mapping):
        parse_operation(preset.data, document=preset)  # raises an error that says what it is
    elif preset.data.get("kind") != "component":
        reader.notes += note_spellings(
            parse_operation({**preset.data, "isPreset": True}, document=preset)
        )
    try:
        return apply_presets(written, [preset.data])
    except SpecError as error:
        raise place(error, [layer], {}) from None


def _merge_params(params: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge values of the command line over the file's params.

    Keep what the file says about where a value goes, and drop the file's own value and ref.
    """
    merged = {}
    for name, value in given.items():
        before = params.get(name)
        full = isinstance(before, Mapping) and any(key in PARAM_KEYS for key in before)
        kept = (
            {key: item for key, item in before.items() if key not in ("value", "ref")}
            if full and before
            else {}
        )
        source = (
            {"ref": value.ref, "value": value.value}
            if isinstance(value, GivenRef)
            else {"value": value}
        )
        merged[name] = {**source, **kept}
    return merged
