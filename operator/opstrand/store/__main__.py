"""`python -m opstrand.store backup|restore`: the store of OPSTRAND_STORE_URL, through stdout and
stdin. It may run beside the API.
"""

from __future__ import annotations

import asyncio
import sys

from opstrand.errors import PlatformError, SpecError
from opstrand.settings import Settings
from opstrand.store.copying import back_up, restore
from opstrand.store.opening import open_store

_USAGE = "expected: python -m opstrand.store backup > FILE, or restore < FILE\n"


async def _copy(action: str) -> str:
    store = await open_store(Settings.from_environment().store_url)
    try:
        if action == "backup":
            return f"{await back_up(store, sys.stdout.buffer)} runs are in the backup\n"
        return f"{await restore(store, sys.stdin.buffer)} runs were restored\n"
    finally:
        await store.close()


def main(arguments: list[str]) -> int:
    """Returns the exit code; what was done, or went wrong, is written to stderr."""
    if arguments not in (["backup"], ["restore"]):
        sys.stderr.write(_USAGE)
        return 2
    try:
        sys.stderr.write(asyncio.run(_copy(arguments[0])))
    except (PlatformError, SpecError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
