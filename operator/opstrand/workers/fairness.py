"""A waiting line that is fair by group: groups take turns, and inside a group the first in is the
first out.

Owns the order only; what waits, and how many may go at once, is the caller's business. With
namespaces as groups, one namespace with thousands of items delays an item of another by one turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class FairLine(Generic[Item]):
    """Items, each once, under the group that they were added with."""

    def __init__(self) -> None:
        #: The group whose turn is next comes first. No group is empty.
        self._groups: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()
        self._group_of: dict[Item, str] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, item: Item) -> bool:
        return item in self._group_of

    def count(self, group: str) -> int:
        """How many items of this group wait."""
        return len(self._groups.get(group, ()))

    def add(self, item: Item, group: str) -> None:
        """Put the item at the end of its group; one that waits already keeps its place."""
        if item not in self._group_of:
            self._group_of[item] = group
            self._groups.setdefault(group, OrderedDict())[item] = None

    def put_first(self, item: Item) -> None:
        """Move an item that waits to the front of its group.

        The turns of the groups stay as they are.
        """
        group = self._group_of.get(item)
        if group is not None:
            self._groups[group].move_to_end(item, last=False)

    def discard(self, item: Item) -> None:
        """Take the item out, if it waits."""
        group = self._group_of.pop(item, None)
        if group is not None:
            del self._groups[group][item]
            if not self._groups[group]:
                del self._groups[group]

    def pop(self, *, is_allowed: Callable[[str], bool] = lambda _: True) -> Item | None:
        """The next item of the first allowed group, which then waits for all the others; None where
        no group may go.
        """
        group = next(filter(is_allowed, self._groups), None)
        if group is None:
            return None
        item = next(iter(self._groups[group]))
        self.discard(item)
        if group in self._groups:
            self._groups.move_to_end(group)
        return item

    def clear(self) -> None:
        self._groups.clear()
        self._group_of.clear()
