"""A bucket of object storage (S3, Google Cloud Storage, Azure), as the store of runs' files.

Owns the library `obstore`, how long a request is tried again, and what its errors mean. Credentials
come from the environment of this process, or from what the cloud gives its Pod. Must not know runs.
All methods block.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opstrand.artifacts.receiving import MOST_LARGE, SMALL
from opstrand.errors import PlatformError

#: Bytes that are read at a time, and of one part of an upload; parts that are in memory at a time.
READ = 2 * 1024 * 1024
_PART = 8 * 1024 * 1024
_PARTS = 2
_LARGE = threading.BoundedSemaphore(MOST_LARGE)
#: Seconds that a request is tried again, after which the caller is answered that the bucket is
#: away; and that one try may take.
_RETRIED, _TRY, _CONNECT = 20, 30, 5
_RETRY_AFTER = 5.0
#: Objects of one request that lists, and of one that deletes.
_PAGE = 1000
#: Kind of connection -> how the variables begin that configure it.
_VARIABLES = {"s3": "AWS_", "gcs": "GOOGLE_", "wasb": "AZURE_"}

#: The errors of S3 and of Azure.
_SAID = re.compile(r"<Code>(.{1,100}?)</Code>\s*<Message>(.{1,300}?)</Message>", re.DOTALL)


class MissingObject(LookupError):
    """The bucket has no such object, or not in this version."""


@dataclass(frozen=True)
class Object:
    """An object of the bucket. `size`: bytes; `tag`: another content has another one."""

    key: str
    size: int
    tag: str
    modified: datetime


class Bucket:
    """A bucket, or what is below a prefix of one.

    Every method raises PlatformError if the bucket does not answer, or not let us.
    """

    def __init__(self, url: str, store: Any) -> None:
        self.url, self._store = url, store

    def find(self, key: str) -> Object | None:
        """What is known of an object without reading it."""
        import obstore

        with self._explained(f"read {key}"):
            try:
                return _as_object(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def read(self, found: Object, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`. Raises MissingObject if it is another by now."""
        import obstore

        options: Any = {"range": (start, end)}
        if found.tag:
            options["if_match"] = found.tag
        with self._explained(f"read {found.key}"):
            try:
                answer = obstore.get(self._store, found.key, options=options)
                return bytes(answer.bytes())
            except (FileNotFoundError, obstore.exceptions.PreconditionError):
                raise MissingObject(found.key) from None

    def write(self, key: str, place: Path) -> None:
        """Make a file of this machine the object: it appears whole or not at all."""
        import obstore

        is_large = place.stat().st_size > SMALL
        with (
            _LARGE if is_large else nullcontext(),
            self._explained(f"write {key}"),
            place.open("rb") as file,
        ):
            obstore.put(self._store, key, file, chunk_size=_PART, max_concurrency=_PARTS)

    def list_folder(self, prefix: str) -> tuple[list[Object], list[str]]:
        """The objects directly below a prefix, and the prefixes below it. Without a slash at the
        end.
        """
        import obstore

        with self._explained(f"list {prefix}".rstrip()):
            found = obstore.list_with_delimiter(self._store, prefix)
            return [_as_object(one) for one in found["objects"]], list(found["common_prefixes"])

    def walk(self, prefix: str) -> Iterator[Object]:
        """Every object below a prefix, page by page."""
        import obstore

        with self._explained(f"list {prefix}".rstrip()):
            for page in obstore.list(self._store, prefix, chunk_size=_PAGE):
                yield from map(_as_object, page)

    def has_any(self, prefix: str) -> bool:
        return next(self.walk(prefix), None) is not None

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is not there is no error."""
        import obstore

        for start in range(0, len(keys), _PAGE):
            with self._explained(f"delete {keys[start]}"):
                try:
                    obstore.delete(self._store, list(keys[start : start + _PAGE]))
                except FileNotFoundError:
                    continue

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        import obstore.exceptions as errors

        try:
            yield
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            raise PlatformError(
                f"the API may not {what} in the bucket {self.url}: {_shorten(error)}; its "
                "credentials are variables of the API's container",
                retry_after=_RETRY_AFTER,
            ) from None
        except FileNotFoundError as error:
            raise PlatformError(
                f"there is no bucket {self.url}: {_shorten(error)}", retry_after=_RETRY_AFTER
            ) from None
        except errors.BaseError as error:
            raise PlatformError(
                f"could not {what} in the bucket {self.url}: {_shorten(error)}",
                retry_after=_RETRY_AFTER,
            ) from None


def _as_object(found: Any) -> Object:
    return Object(found["path"], found["size"], found["e_tag"] or "", found["last_modified"])


def _shorten(error: Exception) -> str:
    """What the server said, or else the beginning of the library's error, which ends with its whole
    state.
    """
    text = str(error)
    said = _SAID.search(text)
    if said is not None:
        return f"{said[1]}: {said[2].partition(chr(10))[0]}"
    text = re.sub(r"\s+", " ", text.partition("\n\nDebug source")[0])
    return text if len(text) <= 300 else f"{text[:300]}..."


def open_bucket(kind: str, url: str, env: Mapping[str, str]) -> Bucket:
    """Open the bucket of a connection. `env`: the variables that the connection itself gives.

    Nothing is asked yet. Raises PlatformError for what cannot be opened.
    """
    from obstore import exceptions, store

    config: Any = {
        key.lower(): value for key, value in env.items() if key.startswith(_VARIABLES[kind])
    }
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=_TRY),
        "connect_timeout": timedelta(seconds=_CONNECT),
        "allow_http": any(value.startswith("http://") for value in config.values()),
    }
    retry: dict[str, Any] = {
        "max_retries": 10,
        "retry_timeout": timedelta(seconds=_RETRIED),
        "backoff": {"max_backoff": timedelta(seconds=4)},
    }
    given: dict[str, Any] = {"client_options": options, "retry_config": retry}
    try:
        parts = urlsplit(url)
        prefix = parts.path.strip("/") or None
        if kind == "s3":
            opened: Any = store.S3Store(parts.netloc, prefix=prefix, config=config, **given)
        elif kind == "gcs":
            opened = store.GCSStore(parts.netloc, prefix=prefix, config=config, **given)
        else:
            container, _, host = parts.netloc.partition("@")
            if host:
                config.setdefault("azure_storage_account_name", host.partition(".")[0])
            opened = store.AzureStore(container, prefix=prefix, config=config, **given)
    except (exceptions.BaseError, ValueError) as error:
        raise PlatformError(f"the bucket {url} cannot be opened: {_shorten(error)}") from None
    return Bucket(url, opened)
