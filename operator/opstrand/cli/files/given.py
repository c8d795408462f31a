"""What the options of `run` and `render` give: files, params, and changes of the file by options.

Owns that each option becomes a part of the operation: a param or a preset. Must not validate the
operation: `validate_submission` does.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from opstrand.cli.errors import CliError
from opstrand.cli.options import Function, add_options, file_options

_VARIABLE = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class Given:
    """The options of one command line, as they were written."""

    #: A file, or an image and its command.
    what: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    strict: bool | None = None
    set_files: tuple[str, ...] = ()
    param_files: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    image: str | None = None
    env: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    queue: str | None = None
    no_cache: bool = False

    @property
    def label(self) -> str:
        """How the user named what is run."""
        return self.what[0] if self.what else self.files[0] if self.files else "the command line"

    @property
    def is_nothing(self) -> bool:
        return not self.what and not self.files

    def read(self, *, hub: str | None = None) -> Any:
        """Return the submission. Raises SpecError with lines, or CliError."""
        from opstrand.cli.files.submission import read_submission
        from opstrand.spec.document import Document

        files: list[Any] = [*self._read_what(), *self.files, *self.presets]
        if changes := self._make_preset():
            files.append(Document({"kind": "operation", **changes}))
        values = {**self._read_values(), **self._read_set_files()}
        return read_submission(files, self.params, strict=self.strict, hub=hub, values=values)

    def _read_what(self) -> list[Any]:
        if not self.what:
            return []
        first, *rest = self.what
        if _is_file(first):
            if rest:
                raise CliError(
                    f"one file is run, found {' and '.join(self.what)}",
                    hint="A preset is named by --preset FILE, a param by -P NAME=VALUE.",
                )
            return [first]
        if not rest and ":" not in first and "/" not in first:
            raise CliError(
                f"there is no file {first!r}",
                hint=f"For an image, name its command: opstrand run {first} -- COMMAND.",
            )
        from opstrand.spec.document import Document

        return [Document(make_component(first, rest))]

    def _make_preset(self) -> dict[str, Any]:
        """Return what the options change of the file, as a preset has it; empty for nothing."""
        container: dict[str, Any] = {}
        if self.image:
            container["image"] = self.image
        if variables := self._read_variables():
            container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        changes: dict[str, Any] = {"runPatch": {"container": container}} if container else {}
        if tags := [tag.strip() for text in self.tags for tag in text.split(",") if tag.strip()]:
            changes["tags"] = tags
        if self.queue:
            changes["queue"] = self.queue
        if self.no_cache:
            changes["cache"] = {"disable": True}
        return changes

    def _read_variables(self) -> dict[str, str]:
        """Return the variables; one without a value is taken from the environment, as in docker."""
        found: dict[str, str] = {}
        for name in self.env_files:
            for line in _read_text(name, "--env-file").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    found |= _parse_variable(line.strip(), f"--env-file {name}")
        for text in self.env:
            found |= _parse_variable(text, "--env")
        return found

    def _read_values(self) -> dict[str, Any]:
        """Return the values of --param-file: a mapping of names to values, in YAML or JSON."""
        from opstrand.cli.files.references import read_file

        values: dict[str, Any] = {}
        for name in self.param_files:
            data = read_file(name).data
            if not isinstance(data, Mapping):
                raise CliError(f"--param-file {name}: expected a mapping of names to values")
            values |= data
        return values

    def _read_set_files(self) -> dict[str, str]:
        values = {}
        for text in self.set_files:
            name, sign, file = text.partition("=")
            if not sign or not name.strip():
                raise CliError(f"--set-file {text!r}: expected NAME=FILE")
            values[name.strip()] = _read_text(file, "--set-file")
        return values


def _is_file(name: str) -> bool:
    return name == "-" or name.endswith((".yaml", ".yml", ".json")) or os.path.exists(name)


def make_component(image: str, command: list[str]) -> dict[str, Any]:
    """Return the component of one line: an image and what it runs."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    name = re.sub(r"[^a-z0-9]+", "-", base).strip("-")
    container: dict[str, Any] = {"image": image}
    if command:
        container["command"] = command
    run = {"kind": "job", "container": container}
    return {"kind": "component", **({"name": name} if name else {}), "run": run}


def _parse_variable(text: str, where: str) -> Mapping[str, str]:
    name, sign, value = text.partition("=")
    if not _VARIABLE.fullmatch(name):
        raise CliError(f"{where}: {text!r}: expected NAME=VALUE, or NAME of a variable set here")
    if sign:
        return {name: value}
    if name not in os.environ:
        raise CliError(f"{where}: {name} is not set here", hint=f"Write {name}=VALUE.")
    return {name: os.environ[name]}


def _read_text(name: str, option: str) -> str:
    from opstrand.cli.files.references import FileError, read_bytes

    try:
        return read_bytes(name).decode()
    except FileError as error:
        raise CliError(f"{option} {name}: {error.why}") from None
    except UnicodeDecodeError:
        raise CliError(f"{option} {name}: the text is not UTF-8") from None


def given_options(function: Function) -> Function:
    """Add FILE, -f, -P and the options that change the file, as one argument `given`."""

    @functools.wraps(function)
    def wrapped(**all_options: Any) -> Any:
        parts = dict(_split(all_options))
        rest = {key: value for key, value in all_options.items() if key not in _FIELDS}
        return function(given=Given(**parts), **rest)

    return file_options(add_options(wrapped, _OPTIONS))


#: The name of an option -> the field that holds it.
_FIELDS = {
    "what": "what",
    "files": "files",
    "params": "params",
    "strict_params": "strict",
    "set_files": "set_files",
    "param_files": "param_files",
    "presets": "presets",
    "image": "image",
    "env": "env",
    "env_files": "env_files",
    "tags": "tags",
    "queue": "queue",
    "no_cache": "no_cache",
}


def _split(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in _FIELDS.items():
        yield field, options[name]


_OPTIONS = (
    click.argument("what", nargs=-1, metavar="[FILE]"),
    click.option(
        "--set-file",
        "set_files",
        multiple=True,
        metavar="NAME=FILE",
        help="Value of a param: the text of a file.",
    ),
    click.option(
        "--param-file",
        "param_files",
        multiple=True,
        metavar="FILE",
        help="Values of params: a mapping in YAML or JSON.",
    ),
    click.option(
        "--preset", "presets", multiple=True, metavar="FILE", help="Preset over the file; repeat."
    ),
    click.option("--image", metavar="IMAGE", help="Image of the main container."),
    click.option(
        "--env", "-e", "env", multiple=True, metavar="NAME=VALUE", help="Variable; repeat it."
    ),
    click.option(
        "--env-file", "env_files", multiple=True, metavar="FILE", help="Variables, one a line."
    ),
    click.option("--tags", multiple=True, metavar="TAG,TAG", help="Tags of the run."),
    click.option("--queue", metavar="NAME", help="Queue that the run is put into."),
    click.option("--no-cache", is_flag=True, help="Take no earlier result."),
)
