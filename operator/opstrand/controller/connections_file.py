"""The catalog of connections as it is on disk: read at the start, and again whenever the file
changes.

Owns the file and the handling of a broken one. A wrong file at the start stops the process with
every problem. A file that becomes wrong later is logged once, and the last good catalog stays in
use. Must not know what a connection means.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from opstrand.core.planning.connections import EMPTY, Catalog, read_catalog
from opstrand.errors import SpecError
from opstrand.spec.connections import parse_catalog_file
from opstrand.spec.document import parse_document

logger = logging.getLogger(__name__)

#: Seconds between two checks. A mounted ConfigMap takes up to a minute to change, so checking more
#: often shows nothing.
_LOOK_EVERY = 1.0
#: Identifies one content of the file: each change of a mounted ConfigMap links to another folder.
_Mark = tuple[int, int, int, int]


def read_connections(path: str | None) -> Catalog | None:
    """The catalog of the named file; None if no file was named.

    Raises SpecError if the file is wrong or does not exist.
    """
    if not path:
        return None
    try:
        document = parse_document(Path(path).read_bytes(), source=path)
    except OSError as error:
        raise SpecError(
            "InvalidSpec", f"{path} cannot be read: {error.strerror or error}", "connections"
        ) from None
    return read_catalog(parse_catalog_file(document.data, document=document))


class CatalogReader:
    """Reads the file again when it has changed.

    An empty path is an empty catalog for ever. A file that does not exist yet is an empty catalog
    too.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._looked = 0.0
        self._mark: _Mark | None = None
        self._catalog = EMPTY

    def start(self) -> None:
        """Read the file for the first time.

        Raises SpecError that names the file, the line and what is expected there.
        """
        self._mark = self._look()
        self._catalog = self._parse() if self._mark is not None else EMPTY

    def read(self) -> Catalog:
        """The current catalog. Costs at most one `stat` per second."""
        now = time.monotonic()
        if self._path and now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._refresh()
        return self._catalog

    def _refresh(self) -> None:
        mark = self._look()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._catalog = self._parse() if mark is not None else EMPTY
        except (SpecError, OSError) as error:
            logger.error("the catalog of connections is wrong, the last good one stays: %s", error)
        else:
            logger.info(
                "the catalog of connections was read again",
                extra={"connections": sorted(self._catalog.connections)},
            )

    def _look(self) -> _Mark | None:
        if not self._path:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _parse(self) -> Catalog:
        document = parse_document(Path(self._path).read_bytes(), source=self._path)
        return read_catalog(parse_catalog_file(document.data, document=document))
