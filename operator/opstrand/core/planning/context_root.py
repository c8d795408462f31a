"""Support a context root in another folder: a local run has it below the folder of local runs.

Owns what that means for texts: the platform's values are rendered with the run's own root, and
where the author of the polyaxonfile wrote the documented root in a container's command, arguments
and variables, it means that folder. What a template printed, and the content of a file, is data; a
note says which files name the documented root. Must not know where the folder is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from opstrand.core.identity import CONTEXT_ROOT
from opstrand.core.planning.expansion import map_expanded
from opstrand.core.templates.traced import Piece, TracedText, pieces_of

#: The root as a path of its own: not the end of a longer one, nor the beginning of another name.
_CONTEXT = re.compile(r"(?<![\w.)}-])" + re.escape(CONTEXT_ROOT) + r"(?![\w.-])")


def locate_container(container: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return a container with traces in which the root that the author wrote is `root`."""
    if root == CONTEXT_ROOT:
        return dict(container)
    return map_expanded(container, lambda value: locate(value, root))


def locate(value: Any, root: str) -> Any:
    """Replace every context root that the author wrote as a whole path by `root`.

    The inserted text is not read as a reference.
    """
    if isinstance(value, str):
        return _locate_text(value, root)
    if isinstance(value, Mapping):
        return {key: locate(item, root) for key, item in value.items()}
    return [locate(item, root) for item in value] if isinstance(value, list | tuple) else value


def _locate_text(text: str, root: str) -> str:
    if CONTEXT_ROOT not in text:
        return text
    return TracedText.of_pieces(_iter_located(text, root))


def _iter_located(text: str, root: str) -> Iterator[Piece]:
    start = 0
    found = {match.start() for match in _CONTEXT.finditer(text)}
    for piece in pieces_of(text):
        end = start + len(piece.text)
        last = end - len(CONTEXT_ROOT)
        places = [] if piece.printed else sorted(one for one in found if start <= one <= last)
        cuts = [start, *(cut for one in places for cut in (one, one + len(CONTEXT_ROOT))), end]
        for index, (left, right) in enumerate(pairwise(cuts)):
            is_root = index % 2 == 1
            yield Piece(root if is_root else text[left:right], is_root or piece.printed)
        start = end


def find_literal_files(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note for each file of `init` that names the documented root: its content is data, and
    a local run has the root elsewhere.
    """
    init = run.get("init")
    for index, step in enumerate(init if isinstance(init, list) else ()):
        file = step.get("file") if isinstance(step, Mapping) else None
        content = file.get("content") if isinstance(file, Mapping) else None
        if isinstance(content, str) and _CONTEXT.search(content):
            yield (
                f"run.init[{index}].file.content: {CONTEXT_ROOT} is not there in a run with "
                "--local, and a file is written as it is: use {{ globals.context_path }}, "
                "{{ globals.artifacts_path }} or the variable POLYAXON_CONTEXT_ROOT"
            )


def symbolic(value: Any, root: str) -> Any:
    """Rewrite paths below `root` as the container would have them; other values stay."""
    if isinstance(value, str):
        rest = value.removeprefix(root)
        return CONTEXT_ROOT + rest if value.startswith(root) and rest[:1] in ("", "/") else value
    if isinstance(value, Mapping):
        return {key: symbolic(item, root) for key, item in value.items()}
    return [symbolic(item, root) for item in value] if isinstance(value, list | tuple) else value
