"""Where tests lie and what they may import: a room's tests are at the room's own path. No module is
longer than a reader holds in mind.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "operator" / "opstrand"
UNIT = CHECKOUT / "tests" / "unit"
#: Lines of a module. A longer one owns two things: split it by what it owns.
_LONGEST = 400
#: Folders of tests/unit that belong to no room: vectors that run through all rooms, and the
#: programs that start clusters.
_OTHER = {"conformance", "cluster"}
#: Most modules have no such line, and need not be parsed.
_MAYBE_IMPORTS_A_TEST = re.compile(r"^\s*(from|import)\s.*\btest_", re.MULTILINE)


def _test_modules() -> list[Path]:
    return sorted((CHECKOUT / "tests").rglob("test_*.py"))


def _imported(module: Path) -> Iterator[str]:
    source = module.read_text()
    if not _MAYBE_IMPORTS_A_TEST.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


def test_no_test_module_imports_another() -> None:
    found = [
        f"{module.relative_to(CHECKOUT)} imports {name}"
        for module in _test_modules()
        for name in _imported(module)
        if name.startswith(("tests.", "."))
        and any(part.startswith("test_") for part in name.split(".")[:-1])
    ]
    assert found == []


def test_the_folders_of_unit_tests_are_those_of_the_package() -> None:
    folders = {module.parent.relative_to(UNIT) for module in UNIT.rglob("test_*.py")}
    strays = [
        str(folder)
        for folder in folders
        if not (PACKAGE / folder).is_dir() and folder.parts[0] not in _OTHER
    ]
    assert strays == []


def test_every_room_of_the_core_has_tests_of_its_own() -> None:
    rooms = {path.parent.relative_to(PACKAGE) for path in (PACKAGE / "core").rglob("*.py")}
    without = [str(room) for room in rooms if not list((UNIT / room).glob("test_*.py"))]
    assert without == []


def test_no_module_of_the_package_is_longer_than_the_limit() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}: {lines} lines"
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > _LONGEST
    ]
    assert not found, f"split these (at most {_LONGEST} lines):\n" + "\n".join(found)
