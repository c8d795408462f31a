"""The order of operations that depend on each other.

Owns sorting into stages and finding what makes sorting impossible. Must not know where an edge
comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set


def topological_stages(upstreams: Mapping[str, Set[str]]) -> list[list[str]]:
    """Sort names into stages, each of which depends only on earlier ones.

    Names on a cycle, or behind one, are left out. Names within a stage are sorted.
    """
    waits = {name: len(before & upstreams.keys()) for name, before in upstreams.items()}
    behind: dict[str, list[str]] = {name: [] for name in upstreams}
    for name, before in upstreams.items():
        for other in before & upstreams.keys():
            behind[other].append(name)
    stages = []
    ready = sorted(name for name, count in waits.items() if count == 0)
    while ready:
        stages.append(ready)
        following = []
        for name in ready:
            for other in behind[name]:
                waits[other] -= 1
                if waits[other] == 0:
                    following.append(other)
        ready = sorted(following)
    return stages


def find_cycles(upstreams: Mapping[str, Set[str]]) -> Iterator[list[str]]:
    """Yield cycles, none of which shares a name with an earlier one.

    Each cycle repeats its first name at the end.
    """
    left = _Unsorted(upstreams)
    for name in upstreams:
        while name in left.names:
            cycle = left.walk(name)
            yield cycle
            left.remove(cycle)


class _Unsorted:
    """The names that are on a cycle or behind one, kept up to date while names are removed.

    Each edge is looked at once for that.
    """

    def __init__(self, upstreams: Mapping[str, Set[str]]) -> None:
        self.names = set(upstreams)
        self._upstreams = upstreams
        self._waits = {name: len(before & upstreams.keys()) for name, before in upstreams.items()}
        self._behind: dict[str, list[str]] = {name: [] for name in upstreams}
        for name, before in upstreams.items():
            for other in before & upstreams.keys():
                self._behind[other].append(name)
        self.remove([name for name, count in self._waits.items() if count == 0])

    def remove(self, gone: Sequence[str]) -> None:
        """Remove names, and all names that then wait for nothing else."""
        following = list(gone)
        while following:
            name = following.pop()
            if name not in self.names:
                continue
            self.names.discard(name)
            for other in self._behind[name]:
                self._waits[other] -= 1
                if self._waits[other] == 0:
                    following.append(other)

    def walk(self, name: str) -> list[str]:
        """Return the cycle on the way upstream.

        There is one, since each name that is left waits for one that is left.
        """
        seen: dict[str, int] = {}
        while name not in seen:
            seen[name] = len(seen)
            name = min(other for other in self._upstreams[name] if other in self.names)
        around = list(reversed(list(seen)[seen[name] :]))
        first = around.index(min(around))
        return [*around[first:], *around[: first + 1]]
