"""Image building without a daemon: buildah, with its storage in the cache so that layers are kept.

Owns buildah's options and how the machine's certificates and pip settings reach a build without becoming part of the image.
Shares its three methods with `kind.Docker`. Must not decide what is built.
"""

from __future__ import annotations

import configparser
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .cache import cache_folder
from .console import run
from .programs import SYSTEM_PATH, system_command, system_environment
from .registry import HOST
from .rootfs import debian_mirror, make_root

BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
BUNDLE_INSIDE = "/etc/ssl/certs/ca-certificates.crt"
PIP_CONFIG_INSIDE = "/etc/pip.conf"
APT_SOURCES_INSIDE = "/etc/apt/sources.list"
#: Of localhost/python-base:1, from which everything that needs a package of Debian is built.
APT_SUITE = "bookworm"
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "proxy")
ACCEPT_ANYTHING = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Buildah:
    """Builds images and pushes them to the local registry."""

    def __init__(self) -> None:
        storage = cache_folder() / "buildah"
        storage.mkdir(parents=True, exist_ok=True)
        (storage / "policy.json").write_text(ACCEPT_ANYTHING)
        self.policy_option = f"--signature-policy={storage / 'policy.json'}"
        options: list[str | Path] = ["--storage-driver", "overlay", "--root", storage / "storage", "--runroot", storage / "run"]
        self.command: list[str | Path] = [system_command("buildah"), *options]

    def make_base(self, suite: str, name: str) -> None:
        """A root filesystem as an image of one layer."""
        with tempfile.TemporaryDirectory(prefix="opstrand-root-") as folder:
            root = Path(folder) / "root"
            make_root(suite, root)
            container = self._run("from", "scratch").strip().splitlines()[-1]
            try:
                self._run("add", container, root, "/")
                self._run("config", "--env", f"PATH={SYSTEM_PATH}", "--cmd", '["python3"]', container)
                self._run("commit", self.policy_option, container, name)
            finally:
                self._run("rm", container)

    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None:
        """`docker build`. Layers of an earlier build are used again where nothing below them changed."""
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        with tempfile.TemporaryDirectory(prefix="opstrand-trust-") as folder:
            mounts = [word for mount in trust_mounts(Path(folder)) for word in ("--volume", mount)]
            options = ["--isolation", "chroot", "--network", "host", "--layers", "--tls-verify=false"]
            self._run("bud", *options, self.policy_option, *mounts, *words, "--tag", name, context)

    def push(self, name: str, repository: str, tag: str) -> None:
        self._run("push", "--tls-verify=false", self.policy_option, name, f"docker://{HOST}/{repository}:{tag}")

    def _run(self, *words: str | Path) -> str:
        return run([*self.command, *words], env=system_environment()).stdout


def trust_mounts(folder: Path) -> list[str]:
    """Mounts for the time of a build, where the machine says that it needs them: who signs its traffic, where its packages are."""
    mounts = []
    bundle = next((path for name in BUNDLE_VARIABLES if (path := os.environ.get(name)) and Path(path).is_file()), None)
    if bundle:
        mounts.append(f"{bundle}:{BUNDLE_INSIDE}:ro")
    settings = read_pip_settings()
    if bundle:
        settings["cert"] = BUNDLE_INSIDE
    if settings:
        file = configparser.RawConfigParser()
        file["global"] = settings
        with (folder / "pip.conf").open("w") as handle:
            file.write(handle)
        mounts.append(f"{folder / 'pip.conf'}:{PIP_CONFIG_INSIDE}:ro")
    (folder / "sources.list").write_text(f"deb {debian_mirror()} {APT_SUITE} main\n")
    return [*mounts, f"{folder / 'sources.list'}:{APT_SOURCES_INSIDE}:ro"]


def read_pip_settings() -> dict[str, str]:
    """What this machine's pip is told about where packages are, from its files and its environment alike."""
    listed = run([sys.executable, "-m", "pip", "config", "list"], check=False).stdout
    found = re.findall(r"^[\w:]+\.([\w-]+)='(.*)'$", listed, flags=re.MULTILINE)
    return {name: value.replace("\\n", " ") for name, value in found if name in PIP_OPTIONS}
