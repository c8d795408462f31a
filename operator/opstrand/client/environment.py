"""Read which run this is, where its API is and the token, from the environment of the Pod.

Owns the names of the variables and files that the operator gives to every Pod. Must not open a
connection.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from .errors import NotManaged

_TRUE = frozenset({"1", "true", "yes", "on", "t", "y"})


class Instance(NamedTuple):
    """A run's address: `uuid` is 32 hex digits."""

    owner: str
    project: str
    uuid: str


def is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE


def api_url() -> str:
    return (os.environ.get("POLYAXON_HOST") or "http://localhost:8000").rstrip("/")


def ca_file() -> str:
    """Return the path of the CA certificates of the API; empty means the system's trust store."""
    return os.environ.get("POLYAXON_SSL_CA_CERT", "").strip()


def verifies_tls() -> bool:
    """Whether to verify the API's certificate: yes, unless POLYAXON_VERIFY_SSL turns it off."""
    text = os.environ.get("POLYAXON_VERIFY_SSL", "").strip().lower()
    return not text or text in _TRUE


def context_root() -> str:
    return os.environ.get("POLYAXON_CONTEXT_ROOT") or "/plx-context"


def parse_instance() -> Instance:
    """Return the run that this process belongs to. Raises NotManaged."""
    text = os.environ.get("POLYAXON_RUN_INSTANCE", "")
    if not (is_set("POLYAXON_IS_MANAGED") and text):
        raise NotManaged(
            "Could not get run info, please make sure this run was started by the operator, or say "
            "project and run_uuid."
        )
    parts = text.split(".")
    if len(parts) != 4 or parts[2] != "runs":
        raise NotManaged(f"POLYAXON_RUN_INSTANCE is {text!r}; expected owner.project.runs.uuid")
    return Instance(parts[0].split("/")[0], parts[1], parts[3].replace("-", ""))


class Credentials:
    """The Authorization header. Reads the token file again when it changes, because the kubelet
    rotates a token before it expires.
    """

    def __init__(self) -> None:
        root = context_root()
        self._files = (
            os.path.join(root, ".token", "token"),
            os.path.join(root, ".configs", ".auth"),
        )
        self._read: tuple[str, float, str] | None = None

    def header(self) -> str | None:
        token = self._from_files() or os.environ.get("POLYAXON_AUTH_TOKEN", "").strip()
        scheme = os.environ.get("POLYAXON_AUTHENTICATION_TYPE") or "Token"
        return f"{scheme} {token}" if token else None

    def forget(self) -> None:
        """Read the file at the next use, even if its modification time is the same."""
        self._read = None

    def _from_files(self) -> str | None:
        for path in self._files:
            try:
                changed = os.stat(path).st_mtime
                if self._read is None or self._read[:2] != (path, changed):
                    with open(path, encoding="utf-8") as file:
                        self._read = (path, changed, _parse_token(file.read()))
            except (OSError, ValueError, LookupError):
                continue
            return self._read[2]
        return None


def _parse_token(text: str) -> str:
    """Read a bare token, or the JSON that the published client keeps."""
    stripped = text.strip()
    return (
        str(json.loads(stripped)["POLYAXON_AUTH_TOKEN"]) if stripped.startswith("{") else stripped
    )
