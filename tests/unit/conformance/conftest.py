"""The evaluator of the whole folder: the real worker process, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opstrand.controller.template_worker import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox
