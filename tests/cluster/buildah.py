"""Builds images without a daemon: buildah, with its storage in the cache so that layers are kept.

Owns buildah's options, and how the machine's certificates and pip settings reach a build without
becoming part of the image. Has the same methods as `kind.Docker`. Must not decide what is built.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.cache import cache_folder, content_key
from tests.cluster.console import run
from tests.cluster.programs import SYSTEM_PATH, system_command, system_environment
from tests.cluster.registry import HOST
from tests.cluster.rootfs import debian_mirror, make_root
from tests.cluster.trust import trust_files

ROOTFS = Path(__file__).with_name("rootfs.py")
APT_SOURCES_INSIDE = "/etc/apt/sources.list"
#: The suite of localhost/python-base:1, from which every image that needs a Debian package is
#: built.
APT_SUITE = "bookworm"
ACCEPT_ANYTHING = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Buildah:
    """Builds images and pushes them to the local registry."""

    def __init__(self) -> None:
        storage = cache_folder() / "buildah"
        storage.mkdir(parents=True, exist_ok=True)
        (storage / "policy.json").write_text(ACCEPT_ANYTHING)
        self.policy_option = f"--signature-policy={storage / 'policy.json'}"
        options: list[str | Path] = [
            "--storage-driver",
            "overlay",
            "--root",
            storage / "storage",
            "--runroot",
            storage / "run",
        ]
        self.command: list[str | Path] = [system_command("buildah"), *options]

    def base_key(self, suite: str) -> str:
        return content_key([suite], [(ROOTFS.name, ROOTFS)])

    def make_base(self, suite: str, name: str) -> None:
        """Make an image of one layer from a root filesystem."""
        with tempfile.TemporaryDirectory(prefix="opstrand-root-") as folder:
            root = Path(folder) / "root"
            make_root(suite, root)
            container = self._run("from", "scratch").strip().splitlines()[-1]
            try:
                self._run("add", container, root, "/")
                self._run(
                    "config", "--env", f"PATH={SYSTEM_PATH}", "--cmd", '["python3"]', container
                )
                self._run("commit", self.policy_option, container, name)
            finally:
                self._run("rm", container)

    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None:
        """Build a Dockerfile as `docker build` does.

        Layers of an earlier build are used again if nothing below them changed.
        """
        words = [
            word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")
        ]
        with tempfile.TemporaryDirectory(prefix="opstrand-trust-") as folder:
            mounts = [word for mount in trust_mounts(Path(folder)) for word in ("--volume", mount)]
            options = [
                "--isolation",
                "chroot",
                "--network",
                "host",
                "--layers",
                "--tls-verify=false",
            ]
            self._run("bud", *options, self.policy_option, *mounts, *words, "--tag", name, context)

    def push(self, name: str, repository: str, tag: str) -> None:
        self._run(
            "push",
            "--tls-verify=false",
            self.policy_option,
            name,
            f"docker://{HOST}/{repository}:{tag}",
        )

    def _run(self, *words: str | Path) -> str:
        return run([*self.command, *words], env=system_environment()).stdout


def trust_mounts(folder: Path) -> list[str]:
    """Return the mounts of a build, from files in `folder`: the certificates for the machine's
    traffic, and the pip settings for its package index.
    """
    mounts = []
    sources = f"deb {debian_mirror()} {APT_SUITE} main\n".encode()
    for number, (inside, content) in enumerate(
        {**trust_files(), APT_SOURCES_INSIDE: sources}.items()
    ):
        (folder / str(number)).write_bytes(content)
        mounts.append(f"{folder / str(number)}:{inside}:ro")
    return mounts
