"""Print the log of a Pod's container as it is now.

Owns that a log whose node has deleted the beginning is not shown as if it were whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from opstrand.cli.cluster.log_cursor import split_line
from opstrand.cli.cluster.missing_log import find_missing_start, report_missing_start
from opstrand.cli.output.log_lines import LineSink

#: Bytes: a shorter log is hardly cut, because a kubelet begins a new file after 10 MiB.
_LONG = 1024 * 1024
#: Shows what the API kept of a log, and returns whether it kept any.
Kept = Callable[[], Awaitable[bool]] | None


async def print_lines(
    api: Any, namespace: str, pod: str, query: dict[str, Any], sink: LineSink, kept: Kept = None
) -> None:
    """Print the lines. Of a long log whose node has deleted the beginning, print what the API kept
    instead, by `kept`, if it has any.

    Always ask for times, because the first one shows whether the log is cut.
    """
    is_whole = query["tailLines"] is None and query["sinceSeconds"] is None
    held, size, missing = list[bytes](), 0, None
    log = api.read_log_lines(namespace, pod, **{**query, "timestamps": True})
    async with aclosing(log) as lines:
        async for line in lines:
            held.append(line)
            size += len(line)
            if is_whole and size < _LONG:
                continue
            if is_whole:
                is_whole, (begins, _) = False, split_line(held[0])
                place = (namespace, pod, query["container"])
                missing = await find_missing_start(api, *place, begins)
                if missing is not None and kept is not None and await kept():
                    return
            _show_lines(held, sink, stamps=query["timestamps"])
            held.clear()
    _show_lines(held, sink, stamps=query["timestamps"])
    if missing is not None:
        report_missing_start(missing)


def _show_lines(lines: Sequence[bytes], sink: LineSink, *, stamps: bool | None) -> None:
    for line in lines:
        sink.show(line if stamps else split_line(line)[1])
