"""The names of all fields of the format, for completion: reading the models takes longer than a
user waits for a tab.

Owns `field_names.json`, which holds them as a list of sections: each maps a key to the index of
the section below it, or to -1. The key `*` stands for a name that the user gives. `make crds`
writes the file from the models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opstrand.spec.explain import _Place

FILE = Path(__file__).with_suffix(".json")
_ANY, _NOTHING = "*", -1

Tree = list[dict[str, int]]


def find_names(path: str) -> list[str]:
    """Return the keys that may follow this path from the root of an operation; none if it is
    unknown.
    """
    tree: Tree = json.loads(FILE.read_text())
    at = 0
    for word in filter(None, path.split(".")):
        section = tree[at]
        at = section.get(word, section.get(_ANY, _NOTHING))
        if at == _NOTHING:
            return []
    return [name for name in tree[at] if name != _ANY]


def make_tree() -> Tree:
    """Return the names as the models have them."""
    from opstrand.spec.explain import iter_children, root

    tree: Tree = []
    known: dict[object, int] = {}

    def visit(place: _Place) -> int:
        if place.shape in known:
            return known[place.shape]
        children = dict(iter_children(place, _ANY))
        if not children:
            return _NOTHING
        index = known[place.shape] = len(tree)
        section: dict[str, int] = {}
        tree.append(section)
        section.update({name: visit(child) for name, child in children.items()})
        if section.get(_ANY) == _NOTHING:
            del section[_ANY]
        if {"run", "runPatch"} <= section.keys():
            section["runPatch"] = section["run"]
        return index

    visit(root())
    return tree


def write_tree(tree: Tree) -> str:
    """Return the text of the file: a line for each section, so that a change is readable."""
    lines = (json.dumps(section, separators=(",", ":")) for section in tree)
    return "[\n" + ",\n".join(lines) + "\n]\n"
