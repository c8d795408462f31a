"""Settings of the user: a file of defaults, below the environment and the options.

Owns which settings there are and where each comes from. Must not import more than it needs: it is
read at every start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opstrand.cli.errors import CliError
from opstrand.text import suggest

#: Setting -> (the variable that it is the default of, what it means).
SETTINGS: Mapping[str, tuple[str, str]] = {
    "namespace": ("OPSTRAND_PROJECT", "namespace, which is the project"),
    "context": ("OPSTRAND_CONTEXT", "context of the kubeconfig"),
    "kubeconfig": ("KUBECONFIG", "file of clusters and credentials"),
    "connections": ("OPSTRAND_CONNECTIONS", "catalog of connections, for --local"),
    "local": ("OPSTRAND_LOCAL", "folder of local runs"),
}
#: The variables that were set from the file at the start of this process.
_from_file: dict[str, str] = {}


@dataclass(frozen=True)
class Setting:
    """One setting as it holds now; `origin` is empty where nothing sets it."""

    name: str
    value: str
    origin: str
    meaning: str


def find_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "opstrand" / "config.yaml"


def read_settings() -> dict[str, str]:
    """Return the file's settings: one `NAME: VALUE` a line. Raises CliError for any other line."""
    file = find_file()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file} cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.partition(":")
        if not sign or not value.strip():
            raise CliError(f"{file}:{number}: expected NAME: VALUE, found {line.strip()!r}")
        found[check_name(name.strip(), f"{file}:{number}")] = value.strip().strip("\"'")
    return found


def check_name(name: str, where: str) -> str:
    if name not in SETTINGS:
        raise CliError(f"{where}: there is no setting {name!r}{suggest(name, SETTINGS)}")
    return name


def apply_settings() -> None:
    """Set the variables that the file has a default for and the environment has not."""
    for name, value in read_settings().items():
        variable = SETTINGS[name][0]
        if not os.environ.get(variable):
            os.environ[variable] = _from_file[variable] = os.path.expanduser(value)


def list_settings() -> list[Setting]:
    """Return every setting as it holds now, and where it comes from."""
    return [
        Setting(name, os.environ.get(variable, ""), _origin(variable), meaning)
        for name, (variable, meaning) in SETTINGS.items()
    ]


def _origin(variable: str) -> str:
    if variable in _from_file:
        return str(find_file())
    return f"${variable}" if os.environ.get(variable) else ""


def write_settings(settings: Mapping[str, str]) -> Path:
    """Write the file with these settings, and return it."""
    file = find_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    return file
