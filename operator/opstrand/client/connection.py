"""One kept-alive connection to the API that retries while the API restarts.

Owns HTTP and when a request is sent again. Must not know what the requests mean. The first request
imports `http.client`, because that is most of what an import of this package would cost.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .environment import Credentials, ca_file, verifies_tls
from .errors import ApiError, NotManaged, Unreachable

if TYPE_CHECKING:
    import http.client
    import ssl

#: Seconds for one answer; the API may hold some answers back for 20.
_TIMEOUT = 60.0
_AGAIN = frozenset({429, 500, 502, 503, 504})


class Connection:
    """Requests to one API. Threads may share it; it sends one request at a time.

    A request is retried for `patience` seconds.
    """

    def __init__(self, url: str, credentials: Credentials, patience: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise NotManaged(
                f"the API's address is {url!r}; expected http://HOST:PORT (POLYAXON_HOST)"
            )
        self._scheme, self._netloc, self._base = parts.scheme, parts.netloc, parts.path.rstrip("/")
        self._credentials = credentials
        self.patience = patience
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._http: http.client.HTTPConnection | None = None

    def forget_credentials(self) -> None:
        """Read the credentials again for the next request."""
        self._credentials.forget()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        patience: float | None = None,
    ) -> Any:
        """Send a request and return the JSON of the answer. A body of bytes is sent as it is.

        Raises ApiError for a refusal, and Unreachable if every try fails until the time is over.
        """
        target = self._base + path + (f"?{urlencode(query)}" if query else "")
        data = _encode(body)
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        pause, renewed = 0.1, False
        while True:
            try:
                return self._send(
                    method, target, data, max(1.0, min(_TIMEOUT, deadline - time.monotonic()))
                )
            except ApiError as error:
                if error.status == 401 and not renewed:
                    renewed = True
                    self._credentials.forget()
                    continue
                if error.status not in _AGAIN:
                    raise
                trouble: Exception = error
            except OSError as error:
                trouble = error
            if time.monotonic() + pause > deadline:
                raise Unreachable(
                    f"{method} {self._scheme}://{self._netloc}{target}: {trouble}"
                ) from trouble
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)

    def _send(self, method: str, target: str, data: bytes | None, timeout: float) -> Any:
        # In a forked child the socket is the parent's, and no thread may ever release the lock.
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            reused = self._http is not None
            try:
                status, raw = self._exchange(method, target, data, timeout)
            except OSError as error:
                # The server may have closed the kept connection while it was idle, so try once more
                # before reporting an error.
                if not reused or _is_late(error):
                    raise
                status, raw = self._exchange(method, target, data, timeout)
        answer = _parse(raw)
        if status >= 400 and isinstance(answer, dict):
            raise ApiError(status, str(answer.get("detail") or answer))
        if status >= 300 or not isinstance(answer, dict):  # another server is at this address
            raise ApiError(
                status,
                f"expected JSON of the API at {self._scheme}://{self._netloc}, found "
                f"{str(answer)[:200]!r}",
            )
        return answer

    def _exchange(
        self, method: str, target: str, data: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        import http.client

        try:
            if self._http is None:
                self._http = self._make(timeout)
            if self._http.sock is not None:
                self._http.sock.settimeout(timeout)
            self._http.request(method, target, body=data, headers=self._headers(data))
            response = self._http.getresponse()
            return response.status, response.read()
        except http.client.HTTPException as error:
            self._close()
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        except OSError:
            self._close()
            raise

    def _make(self, timeout: float) -> http.client.HTTPConnection:
        import http.client

        if self._scheme == "http":
            return http.client.HTTPConnection(self._netloc, timeout=timeout)
        return http.client.HTTPSConnection(self._netloc, timeout=timeout, context=_trust())

    def _headers(self, data: bytes | None) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "User-Agent": "opstrand-client",
            "X-POLYAXON-SERVICE": "runner",
        }
        authorization = self._credentials.header()
        if authorization:
            headers["Authorization"] = authorization
        if data is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


def _trust() -> ssl.SSLContext:
    """Make the TLS context that the environment asks for.

    Raises NotManaged if the certificates cannot be read.
    """
    import ssl

    path = ca_file()
    try:
        context = ssl.create_default_context(cafile=path or None)
    except OSError as error:
        raise NotManaged(
            f"the certificates at {path!r} cannot be read: {error} (POLYAXON_SSL_CA_CERT)"
        ) from error
    if not verifies_tls():
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _encode(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _is_late(error: OSError) -> bool:
    import socket

    return isinstance(error, socket.timeout)


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except ValueError:
        return raw.decode("utf-8", "replace")
