"""The API's certificate on its port: read at the start and periodically, so that a changed one is
served.

Owns the TLS of the port, and the publication of the authority to the operator. Must not make
certificates: `certificates` and `own_certificate` do.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from opstrand.api.certificates import Issued, reach_hosts
from opstrand.api.own_certificate import OwnCertificate
from opstrand.errors import PlatformError, SpecError
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import CONFIG_MAPS
from opstrand.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two reads. A mounted Secret changes a minute after the Secret itself; a request
#: to the API server costs more.
_FILES_AGAIN, _SECRET_AGAIN = 30.0, 600.0


class Source(Protocol):
    """Where a certificate comes from.

    Raises SpecError if it cannot be used, and ApiError if it cannot be read.
    """

    async def read(self) -> Issued: ...


@dataclass(frozen=True)
class Files:
    """Three PEM files of one folder.

    Only the operator needs the authority: it may be missing if nothing is published.
    """

    certificate: Path
    key: Path
    needs_authority: bool = False

    @property
    def authority(self) -> Path:
        return self.certificate.with_name("ca.crt")

    @property
    def are_given(self) -> bool:
        return self.certificate.exists() or self.key.exists()

    async def read(self) -> Issued:
        try:
            authority = self._read_authority() if self.needs_authority else ""
            return Issued(
                authority,
                self.certificate.read_text(encoding="ascii"),
                self.key.read_text(encoding="ascii"),
            )
        except (OSError, ValueError) as error:
            raise _unusable(error) from None

    def _read_authority(self) -> str:
        text = self.authority.read_text(encoding="ascii")
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise ValueError(f"expected certificates as PEM, found none in {self.authority}")
        ssl.create_default_context(cadata=text)
        return text


class ServedCertificate:
    """`context` serves new connections with the certificate that was read last."""

    def __init__(self, source: Source, publication: Publication | None = None) -> None:
        self._source, self._publication = source, publication
        self._served: Issued | None = None
        self.context = new_context()

    async def read_again(self) -> None:
        """Read the certificate and serve it if it changed.

        Raises SpecError if it cannot be used and ApiError if it cannot be read; the previous one
        stays.
        """
        issued = await self._source.read()
        if issued != self._served:
            # Try it in a separate context: a certificate that does not fit its key would be half
            # loaded.
            load_certificate(new_context(), issued)
            load_certificate(self.context, issued)
            logger.info("the certificate was read%s", "" if self._served is None else " again")
            self._served = issued
        if self._publication is not None:
            await self._publication.publish(issued.authority)

    async def keep_reading(self, interval: float) -> None:
        """Read again for ever; an unusable certificate is logged, and the last one stays."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.read_again()
            except (SpecError, PlatformError) as error:
                logger.warning("%s; the last certificate stays", error)


@dataclass(frozen=True)
class Publication:
    """The ConfigMap from which the operator learns the authority by which runs trust the API."""

    kube: KubeApi
    namespace: str
    config_map: str

    async def publish(self, authority: str) -> None:
        body = await self.kube.get(CONFIG_MAPS, self.namespace, self.config_map)
        data = body.get("data") or {}
        if data.get("ca.crt") != authority:
            ops = [{"op": "add", "path": "/data", "value": {**data, "ca.crt": authority}}]
            await self.kube.json_patch(CONFIG_MAPS, self.namespace, self.config_map, ops)


@dataclass(frozen=True)
class Tls:
    """The certificate to serve, and the seconds between two reads of it."""

    certificate: ServedCertificate
    interval: float


async def open_tls(settings: Settings, kube: KubeApi) -> Tls | None:
    """What the settings ask for, already read; None: no TLS. Raises SpecError or ApiError."""
    if not (settings.api_tls_cert or settings.api_tls_secret):
        return None
    namespace = kube.session.namespace
    published = settings.api_tls_published
    source, interval = _choose_source(settings, kube, namespace)
    tls = Tls(
        ServedCertificate(source, Publication(kube, namespace, published) if published else None),
        interval,
    )
    await tls.certificate.read_again()
    return tls


def _choose_source(settings: Settings, kube: KubeApi, namespace: str) -> tuple[Source, float]:
    """Where to read the certificate; files that exist at the start win until the process ends."""
    if settings.api_tls_cert:
        files = Files(
            Path(settings.api_tls_cert),
            Path(settings.api_tls_key),
            needs_authority=bool(settings.api_tls_published),
        )
        if files.are_given or not settings.api_tls_secret:
            return files, _FILES_AGAIN
    hosts = reach_hosts([settings.api_url, settings.external_url])
    return OwnCertificate(kube, namespace, settings.api_tls_secret, hosts), _SECRET_AGAIN


def new_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_certificate(context: ssl.SSLContext, issued: Issued) -> None:
    """Load the certificate by way of files, since Python's `ssl` reads nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "crt"), Path(folder, "key")
        certificate.write_text(issued.certificate)
        key.write_text(issued.key)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise _unusable(error) from None


def _unusable(error: Exception) -> SpecError:
    return SpecError(
        "InvalidSpec",
        f"the API's certificate or key cannot be read: {error}",
        "OPSTRAND_API_TLS_CERT",
    )
