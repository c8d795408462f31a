"""A PostgreSQL server for the tests that compare the store with bodies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres import PostgresServer, serve_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    yield from serve_postgres()
