"""The order of operations that depend on each other.

Owns sorting into stages and finding what makes sorting impossible. Must not know where an edge comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Set


def topological_stages(upstreams: Mapping[str, Set[str]]) -> list[list[str]]:
    """Names in stages: each depends only on earlier ones. Those on a cycle, or behind one, are left out.

    Names within a stage are sorted.
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


def find_cycle(upstreams: Mapping[str, Set[str]]) -> list[str]:
    """The names along one cycle, the first one repeated at the end; empty if there is none."""
    sorted_ones = {name for stage in topological_stages(upstreams) for name in stage}
    rest = [name for name in upstreams if name not in sorted_ones]
    if not rest:
        return []
    # Whoever is left waits for someone who is left: walking upstream must meet a name again.
    seen: dict[str, int] = {}
    name = rest[0]
    while name not in seen:
        seen[name] = len(seen)
        name = min(other for other in upstreams[name] if other in upstreams and other not in sorted_ones)
    around = list(reversed(list(seen)[seen[name] :]))
    first = around.index(min(around))
    return [*around[first:], *around[: first + 1]]
