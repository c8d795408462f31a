"""Which files of `init` name the documented context root, which a local run has elsewhere."""

from typing import Any

import pytest

from opstrand.core.planning.context_root import find_literal_files


def file(content: Any) -> dict[str, Any]:
    return {"file": {"filename": "a", "content": content}}


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ({"init": [file("open('/plx-context/artifacts/a')")]}, [0]),
        ({"init": [{"git": {}}, file("ROOT=/plx-context"), file("x /plx-context/")]}, [1, 2]),
        ({"init": [file("{{ globals.context_path }}/a")]}, []),
        ({"init": [file("/data/plx-context/a, /plx-contexts, /plx-context-2")]}, []),
        ({"init": [file(None), file(5), {"file": "/plx-context"}, None]}, []),
        ({"init": "/plx-context"}, []),
        ({}, []),
    ],
)
def test_the_files_that_name_the_context_root(run: dict[str, Any], found: list[int]) -> None:
    paths = [note.partition(":")[0] for note in find_literal_files(run)]
    assert paths == [f"run.init[{index}].file.content" for index in found]
