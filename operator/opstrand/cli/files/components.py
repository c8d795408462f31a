"""The components of files that stand for the hub of a cluster in `run --local`.

Owns the name of each. Must not run anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opstrand.cli.errors import CliError
from opstrand.cli.files.references import read_file
from opstrand.core.pipelines.hub import component_name
from opstrand.spec.polyaxonfile import parse_component


def read_components(files: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the specs of these files, by the names that their objects have in a cluster.

    A component is named by its `name`, else by its file. Raises SpecError, or CliError for two
    components with one name.
    """
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        document = read_file(file)
        component = parse_component(document.data, document=document)
        name = component_name(str(component.written.get("name") or Path(file).stem))
        if name in found:
            raise CliError(f"--component {file}: there are two components with the name {name!r}")
        found[name] = dict(component.written)
    return found
