"""Issues certificates and writes kubeconfig files, with the `openssl` command: elliptic-curve keys,
a few milliseconds each.

Owns authorities, the certificates they issue, the service accounts' signing key, and the kubeconfig
format. Must not decide who is who: subjects come from the caller.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import run

DAYS = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# Strict verifiers (Python from 3.13 on) require the key identifiers and the usages, which openssl's
# own defaults leave out.
CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issued]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "openssl.cnf"
        self.config.write_text(CONFIG)
        self.pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        if not self.pair.certificate.exists():
            self._request(self.pair, f"/CN={name}", "-extensions", "authority")

    def issue(self, name: str, subject: str, hosts: Iterable[str] = ()) -> Pair:
        """Issue a certificate for a client, or for a server if hosts (IP addresses or names) are
        given.
        """
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        extra: list[str | Path] = [
            "-addext",
            "extendedKeyUsage=clientAuth" + (",serverAuth" if hosts else ""),
        ]
        if hosts:
            extra += [
                "-addext",
                "subjectAltName=" + ",".join(alternative_name(host) for host in hosts),
            ]
        signer: list[str | Path] = ["-CA", self.pair.certificate, "-CAkey", self.pair.key]
        self._request(pair, subject, "-extensions", "issued", *signer, *extra)
        return pair

    def _request(self, pair: Pair, subject: str, *options: str | Path) -> None:
        files: list[str | Path] = ["-keyout", pair.key, "-out", pair.certificate]
        run(
            [
                "openssl",
                "req",
                "-x509",
                "-config",
                self.config,
                "-days",
                DAYS,
                *NEW_KEY,
                *files,
                "-subj",
                subject,
                *options,
            ]
        )
        pair.key.chmod(0o600)


def alternative_name(host: str) -> str:
    return f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}"


def user_subject(user: str, groups: Iterable[str] = ()) -> str:
    """Return a subject as Kubernetes reads it: the common name is the user, organisations are the
    groups.
    """
    names = [*(f"O={group}" for group in groups), f"CN={user}"]
    return "".join("/" + name.replace("\\", "\\\\").replace("/", "\\/") for name in names)


def signing_key(path: Path) -> Path:
    """Write a signing key in the older of openssl's two formats: the API server finds no public key
    in the newer one.
    """
    if not path.exists():
        run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path])
        path.chmod(0o600)
    return path


def write_kubeconfig(path: Path, url: str, authority: Path, user: Pair) -> Path:
    """Write a kubeconfig with all certificates inside, so that it can be copied. It is JSON, which
    every YAML reader reads.
    """

    def embed(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [
            {
                "name": "cluster",
                "cluster": {"server": url, "certificate-authority-data": embed(authority)},
            }
        ],
        "users": [
            {
                "name": "user",
                "user": {
                    "client-certificate-data": embed(user.certificate),
                    "client-key-data": embed(user.key),
                },
            }
        ],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
    path.chmod(0o600)
    return path
