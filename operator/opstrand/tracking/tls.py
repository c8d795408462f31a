"""The API's own certificate: read from files, and read again when they change.

Owns the TLS of the port. Must not make certificates: `certificates` does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

from opstrand.errors import SpecError

logger = logging.getLogger(__name__)

#: Seconds between two looks at the files: a mounted Secret changes a minute after the Secret itself.
_LOOK_AGAIN = 30.0


class Certificate:
    """A certificate and its key in two PEM files. `context` serves new connections with what was read last."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises SpecError where they cannot be used."""
        self._files = (certificate, key)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._seen = self._stamp()
            self.context.load_cert_chain(certificate, key)
        except OSError as error:
            raise SpecError("InvalidSpec", f"the API's certificate or key cannot be read: {error}", "OPSTRAND_API_TLS_CERT") from None

    def _stamp(self) -> tuple[int, ...]:
        return tuple(os.stat(path).st_mtime_ns for path in self._files)

    async def keep_reading(self, interval: float = _LOOK_AGAIN) -> None:
        """For ever; what cannot be used is logged, and the last certificate stays."""
        while True:
            await asyncio.sleep(interval)
            self.read_again()

    def read_again(self) -> None:
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                # Tried apart: one that does not fit its key would leave half of it in the context.
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*self._files)
                self.context.load_cert_chain(*self._files)
                logger.info("the certificate was read again")
        except OSError as error:
            logger.warning("the new certificate or key cannot be read, the last one stays: %s", error)
