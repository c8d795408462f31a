"""Open the store that a URL names.

Owns the forms of OPSTRAND_STORE_URL.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

from opstrand.errors import SpecError
from opstrand.store.sqlite import open_sqlite
from opstrand.store.store import RunStore

_EXPECTED = (
    "expected sqlite:///PATH with the absolute path of a file on a volume of the API, or "
    "postgresql://USER:PASSWORD@HOST/DATABASE"
)


async def open_store(url: str) -> RunStore:
    """Open the store, with the newest schema.

    Raises SpecError for a URL that names none, and PlatformError for a store that cannot be used.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return RunStore(await asyncio.to_thread(open_sqlite, _read_path(url)))
    if scheme in ("postgresql", "postgres"):
        # Imported here: an API with SQLite does not need it.
        from opstrand.store.postgres import PostgresDatabase

        return RunStore(PostgresDatabase(url))
    raise SpecError("InvalidSpec", f"{_EXPECTED}; found {scheme}:", "OPSTRAND_STORE_URL")


def _read_path(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc or not path.is_absolute() or path == Path("/"):
        raise SpecError("InvalidSpec", f"{_EXPECTED}; found {url}", "OPSTRAND_STORE_URL")
    return path
