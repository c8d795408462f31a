"""Each way to install imports only what its own requirements name.

The development environment has the packages of every extra, so no other test can miss one.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / "operator"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
#: What a package imports as, where its name differs; pydantic pins pydantic_core to one version.
IMPORT_NAMES = {
    "rich-click": ["rich_click"],
    "pyyaml": ["yaml"],
    "pyjwt": ["jwt"],
    "pydantic": ["pydantic", "pydantic_core"],
}
#: Extra -> the modules that an installation with it starts at. "" is the client alone.
ENTRIES = {
    "": ("opstrand", "opstrand.cli", "opstrand.client.*", "opstrand.initializer.*"),
    "cli": ("opstrand.cli.*",),
    "operator": ("opstrand.*",),
}
#: The entry point imports this after it has reported what is missing.
_BEHIND_THE_ENTRY_POINT = ("opstrand.cli", "opstrand.cli.app")
#: The published package is the user's own: the shim and the client work with it and without it.
_OPTIONAL = {"polyaxon"}


def _name_module(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {_name_module(path): path for path in sorted((ROOT / "opstrand").rglob("*.py"))}


@cache
def _imports(module: str) -> frozenset[str]:
    """Everything that a module imports, in functions too, except for annotations alone."""
    tree = ast.parse(MODULES[module].read_text())
    return frozenset(_walk(tree))


def _walk(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{one.name}" for one in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


def _expand(entry: str) -> set[str]:
    stem = entry.removesuffix(".*")
    return {m for m in MODULES if m == stem or (stem != entry and m.startswith(f"{stem}."))}


def _reach(entries: tuple[str, ...], is_client: bool) -> set[str]:
    left = [module for entry in entries for module in _expand(entry)]
    reached: set[str] = set()
    while left:
        module = left.pop()
        if module in reached:
            continue
        reached.add(module)
        left += [
            name
            for name in _imports(module)
            if name in MODULES and not (is_client and (module, name) == _BEHIND_THE_ENTRY_POINT)
        ]
    return reached


def _requirements(extra: str) -> set[str]:
    """The names that an extra's own requirements import as."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    names: set[str] = set()
    for line in lines:
        found = re.match(r"([a-z0-9-]+)(?:\[([a-z]+)\])?", line)
        assert found, line
        if found[1] == "opstrand":
            names |= _requirements(found[2])
        else:
            names |= set(IMPORT_NAMES.get(found[1], [found[1]]))
    return names


def _foreign(module: str) -> set[str]:
    tops = {name.partition(".")[0] for name in _imports(module)}
    return tops - set(sys.stdlib_module_names) - {"opstrand"} - _OPTIONAL


@pytest.mark.parametrize("extra", ENTRIES)
def test_an_installation_requires_all_that_its_modules_import(extra: str) -> None:
    missing = {
        f"{module} imports {name}"
        for module in _reach(ENTRIES[extra], is_client=not extra)
        for name in _foreign(module) - _requirements(extra)
    }
    assert sorted(missing) == []


def test_every_extra_is_looked_at() -> None:
    assert set(ENTRIES) == {"", *PROJECT["optional-dependencies"]}


def test_what_an_extra_requires_is_what_the_image_installs() -> None:
    lines = {
        line.partition(";")[0].strip()
        for extra in ("cli", "operator")
        for line in PROJECT["optional-dependencies"][extra]
    } - {"opstrand[cli]"}
    installed = (CHECKOUT / "requirements.in").read_text().splitlines()
    assert lines - set(installed) == set()


def test_every_requirement_of_an_extra_is_left_out_on_an_older_python() -> None:
    """There the entry point says what is needed; pip would name what some other package asks."""
    for extra, lines in PROJECT["optional-dependencies"].items():
        for line in set(lines) - {"opstrand[cli]"}:
            assert line.endswith("; python_version >= '3.11'"), (extra, line)
