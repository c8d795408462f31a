"""A queue that is fair between groups: groups take turns, and each group is first in, first out.

Owns the order only; what is queued, and how many may run at once, is the caller's business. With
namespaces as groups, one namespace with thousands of items delays an item of another by one turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class FairLine(Generic[Item]):
    """A queue of items. Each item is in it once, under the group that it was added with."""

    def __init__(self) -> None:
        #: The group whose turn is next comes first. No group is empty.
        self._groups: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()
        self._group_of: dict[Item, str] = {}

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, item: Item) -> bool:
        return item in self._group_of

    def count(self, group: str) -> int:
        """The number of items of this group."""
        return len(self._groups.get(group, ()))

    def add(self, item: Item, group: str) -> None:
        """Put the item at the end of its group; an item that is queued already keeps its place."""
        if item not in self._group_of:
            self._group_of[item] = group
            self._groups.setdefault(group, OrderedDict())[item] = None

    def put_first(self, item: Item) -> None:
        """Move a queued item to the front of its group.

        The order of the groups does not change.
        """
        group = self._group_of.get(item)
        if group is not None:
            self._groups[group].move_to_end(item, last=False)

    def discard(self, item: Item) -> None:
        """Remove the item, if it is queued."""
        group = self._group_of.pop(item, None)
        if group is not None:
            del self._groups[group][item]
            if not self._groups[group]:
                del self._groups[group]

    def pop(self, *, is_allowed: Callable[[str], bool] = lambda _: True) -> Item | None:
        """The next item of the first allowed group, which then moves behind all the other groups.

        None where no group is allowed.
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
