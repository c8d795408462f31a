"""The image registry on loopback that serves every Pod's image, under exactly the names that users
write.

Owns its process, its storage (kept in the cache: it is the only record of what was built), the
mirrors that lead a container runtime to it, and reading and moving tags. Must not know how images
are built.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.cluster.cache import cache_folder
from tests.cluster.control_plane import LOOPBACK, is_answering, open_directly, wait_until
from tests.cluster.processes import Process
from tests.cluster.programs import system_command

PORT = 5055  # not the usual 5000, on which another registry may listen already
HOST = f"{LOOPBACK}:{PORT}"
URL = f"http://{HOST}"
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# A node must not look anywhere else for an image that is not here.
NOWHERE = "https://registry.invalid"


class Registry:
    """Debian's docker-registry as a process of a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = Process(folder, "registry")

    def start(self) -> None:
        if self.is_healthy():
            return
        self.process.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = cache_folder() / "registry"
        settings = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
            "http": {"addr": HOST},
        }
        configuration = self.folder / "registry.json"
        configuration.write_text(json.dumps(settings))
        self.process.start([system_command("docker-registry"), "serve", configuration])
        wait_until(
            lambda: is_answering(f"{URL}/v2/"), "the image registry was not ready", self.process
        )

    def stop(self) -> None:
        self.process.stop()

    def is_healthy(self) -> bool:
        return self.process.is_running() and is_answering(f"{URL}/v2/")


def split_name(image: str) -> tuple[str, str]:
    """Return (repository, tag) in the registry for a name in a Pod. The host `localhost` only means
    'not from a hub'.
    """
    repository, _, tag = image.partition(":")
    return repository.removeprefix("localhost/"), tag or "latest"


def read_manifest(repository: str, tag: str) -> tuple[bytes, str] | None:
    """Return the manifest of a tag and its media type; None if there is none."""
    try:
        with _ask("GET", repository, tag, {"Accept": ", ".join(MANIFEST_TYPES)}) as answer:
            return answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def has_tags(repository: str, *tags: str) -> bool:
    """Return whether all tags exist and name the same image."""
    manifests = [read_manifest(repository, tag) for tag in tags]
    return manifests[0] is not None and all(manifest == manifests[0] for manifest in manifests)


def copy_tag(repository: str, source: str, target: str) -> bool:
    """Make one tag name the image of another; return False if the other does not exist."""
    manifest = read_manifest(repository, source)
    if manifest is None:
        return False
    _ask("PUT", repository, target, {"Content-Type": manifest[1]}, manifest[0]).close()
    return True


def _ask(
    method: str, repository: str, tag: str, headers: dict[str, str], body: bytes | None = None
) -> Any:
    url = f"{URL}/v2/{repository}/manifests/{tag}"
    return open_directly(urllib.request.Request(url, method=method, headers=headers, data=body))


def write_mirrors(folder: Path, server: str = URL, elsewhere: str = NOWHERE) -> None:
    """Write the runtime's mirror file: for every host that an image name has or omits, ask our
    registry.

    The runtime looks for what our registry lacks `elsewhere`; empty means at the host itself.
    """
    fallback = f'server = "{elsewhere}"\n\n' if elsewhere else ""
    (folder / "_default").mkdir(parents=True, exist_ok=True)
    (folder / "_default" / "hosts.toml").write_text(
        f'{fallback}[host."{server}"]\n  capabilities = ["pull", "resolve"]\n'
    )
