"""Send one file to the API: announce it, then send what the API does not have yet, in parts.

Owns the protocol (`api.published.uploads` has the other side) and what an answer means for the
file. Must not decide which files to send.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import BinaryIO

from ..client.connection import Connection
from ..client.environment import Instance
from ..client.errors import ApiError, Unreachable
from .last_values import read_last_values, report_last_values
from .scan import Found

#: Bytes that are sent at a time.
PART = 4 * 1024 * 1024
_BLOCK = 1024 * 1024
#: Answers that stay the same however often the file is sent: its run is over, or is gone.
_OVER = (403, 404)
#: The answer where the content is not the announced one.
_CHANGED = 409
#: Statuses of a run whose programs have ended.
ENDED = ("processing", "succeeded", "failed", "stopped")


class Away(Exception):
    """The API cannot keep a file now; later it may. The text says why."""


class Over(Exception):
    """The API accepts nothing more of this run."""


class Refused(Exception):
    """The API refuses this file. The text says why."""


class Changed(Exception):
    """The file changed while it was sent."""


class Upload:
    """Sends the files of one run."""

    def __init__(self, connection: Connection, run: Instance) -> None:
        self._connection, self._run = connection, run
        self._run_path = f"/api/v1/{run.owner}/{run.project}/runs/{run.uuid}"
        self._path = f"/streams/v1/{run.project}/{run.owner}/{run.project}/runs/{run.uuid}/artifact"

    def read_status(self, patience: float) -> str:
        """Return the status of the run; empty if the API does not say."""
        try:
            return str(self._connection.request("GET", self._run_path, patience=patience)["status"])
        except (ApiError, Unreachable):
            return ""

    def send(self, file: Found, patience: float, known: str | None = None) -> str:
        """Send the file as it is now; return its SHA-256. With that of `known`, nothing is sent.

        `patience`: seconds for each part. Raises Away, Over, Refused, Changed and OSError.
        """
        with open(file.place, "rb") as content:
            if file.size <= PART:
                data = content.read(file.size)
                sha256 = hashlib.sha256(data).hexdigest()
                if len(data) < file.size:
                    raise Changed
                # The API may have a part of it, from a request that was cut.
                if sha256 != known and not self._put(file, sha256, 0, data, patience)[1]:
                    self._send_parts(file, sha256, content, patience)
                return sha256
            sha256 = _hash(content, file.size)
            if sha256 != known:
                self._send_parts(file, sha256, content, patience)
            return sha256

    def send_batch(self, files: list[Found], patience: float) -> dict[str, str]:
        """Send small files in one request; return the SHA-256 of each that was sent, by its path.

        Raises Away, Over, Refused and Changed.
        """
        packed, digests = io.BytesIO(), {}
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for file in files:
                data = _read(file)
                if data is None:
                    continue
                member = tarfile.TarInfo(file.path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
                digests[file.path] = hashlib.sha256(data).hexdigest()
        body = packed.getvalue()
        query = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        self._request(f"{self._path}s", body, query, patience)
        return digests

    def report_metrics(self, files: list[Found], patience: float) -> None:
        """Make the last value of each metric an output. Raises Away, Over and Refused."""
        values = read_last_values(files)
        if not values:
            return
        try:
            report_last_values(self._connection, self._run, values, patience)
        except Unreachable as error:
            raise Away(str(error)) from error
        except ApiError as error:
            raise _interpret(error) from error

    def _send_parts(self, file: Found, sha256: str, content: BinaryIO, patience: float) -> None:
        offset, is_complete = self._put(file, sha256, 0, b"", patience)
        while not is_complete:
            content.seek(offset)
            data = content.read(min(PART, file.size - offset))
            if not data:
                raise Changed
            reached, is_complete = self._put(file, sha256, offset, data, patience)
            if reached <= offset and not is_complete:
                raise Away("it did not keep what was sent")
            offset = reached

    def _put(
        self, file: Found, sha256: str, offset: int, data: bytes, patience: float
    ) -> tuple[int, bool]:
        query = {"path": file.path, "size": file.size, "sha256": sha256, "offset": offset}
        answer = self._request(self._path, data, query, patience)
        return int(str(answer.get("offset") or 0)), answer.get("isComplete") is True

    def _request(
        self, path: str, body: bytes, query: dict[str, object], patience: float
    ) -> dict[str, object]:
        try:
            answer: dict[str, object] = self._connection.request(
                "PUT", path, body=body, query=query, patience=patience
            )
        except Unreachable as error:
            raise Away(str(error)) from error
        except ApiError as error:
            raise _interpret(error) from error
        return answer


def _read(file: Found) -> bytes | None:
    """Return the content; None if it is not there as it was found."""
    try:
        with open(file.place, "rb") as content:
            data = content.read(file.size)
    except OSError:
        return None
    return data if len(data) == file.size else None


def _interpret(error: ApiError) -> Exception:
    if error.status in _OVER:
        return Over(error.detail)
    if error.status == _CHANGED:
        return Changed()
    if error.status == 400:
        return Refused(error.detail)
    return Away(f"{error.status}: {error.detail}")


def _hash(content: BinaryIO, size: int) -> str:
    found, left = hashlib.sha256(), size
    while left:
        block = content.read(min(_BLOCK, left))
        if not block:
            raise Changed
        found.update(block)
        left -= len(block)
    return found.hexdigest()
