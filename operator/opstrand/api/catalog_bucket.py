"""The bucket of the catalog of connections, opened once and again when the catalog changes.

Owns which variables of the connection configure it, and the log lines that say whether it can be
used. The connection's Secret is for Pods: the API may not read it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from opstrand.artifacts.bucket import Bucket, open_bucket
from opstrand.artifacts.bucket_files import BucketFiles
from opstrand.artifacts.folder import RunFiles
from opstrand.core.planning.connections import Catalog, Connection
from opstrand.errors import PlatformError

logger = logging.getLogger(__name__)


class CatalogBucket:
    """Reads the catalog for each request, which costs next to nothing."""

    def __init__(self, read_catalog: Callable[[], Catalog | None]) -> None:
        self._read_catalog = read_catalog
        self._connection: Connection | None = None
        self._bucket: Bucket | None = None

    def read(self) -> Bucket | None:
        """The bucket of now; None if the catalog has none. Raises PlatformError."""
        catalog = self._read_catalog()
        connection = catalog.bucket if catalog else None
        if connection != self._connection:
            self._bucket = None if connection is None else _open(connection)
            self._connection = connection
        return self._bucket

    def files_of(self, base: Path, project_uid: str, uuid: str) -> RunFiles:
        """The files of one run, in the bucket if there is one. Raises PlatformError."""
        bucket = self.read()
        if bucket is None:
            return RunFiles(base, project_uid, uuid)
        return BucketFiles(base, project_uid, uuid, bucket)

    async def prepare(self) -> None:
        """Log whether the bucket can be used, if there is one."""
        try:
            bucket = self.read()
            if bucket is None:
                return
            await asyncio.to_thread(bucket.has_any, "")
        except PlatformError as error:
            logger.error("%s; the files of runs are not kept until it works", error.message)
        except Exception:
            logger.exception("a bug: it is not known whether the bucket can be used")
        else:
            logger.info("files of runs are kept in a bucket", extra={"url": bucket.url})


def _open(connection: Connection) -> Bucket:
    env = {
        str(one.get("name")): str(one["value"])
        for one in connection.env
        if one.get("value") is not None
    }
    return open_bucket(connection.kind, str(connection.schema["bucket"]), env)
