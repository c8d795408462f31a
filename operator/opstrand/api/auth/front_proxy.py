"""Callers that the API server identified before it passed their requests on to us.

Its aggregation layer proves itself by the front proxy's client certificate, and names the caller in
headers. Owns what the cluster says of that certificate and of those headers, and the TLS that
demands the certificate. The headers are worth nothing without it: they are read here only, and only
of a connection whose handshake was made with that TLS.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from opstrand.api.auth.callers import Caller, Unauthenticated
from opstrand.api.certificates import Issued
from opstrand.api.tls import load_certificate, new_context
from opstrand.errors import PlatformError

#: Where every API server publishes which front proxy it is.
NAMESPACE, CONFIG_MAP = "kube-system", "extension-apiserver-authentication"
_PREFIX = "requestheader-"
_BEGIN = "-----BEGIN CERTIFICATE-----"


class Headers(Protocol):
    """The headers of a request, by names in any case."""

    def getall(self, name: str, default: list[str], /) -> list[str]: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


@dataclass(frozen=True)
class Trust:
    """What that ConfigMap says.

    `authorities` is PEM; `names` are the common names that the certificate may have, where empty
    means any. The others are names of headers in lower case, in the order in which they count.
    """

    authorities: str
    names: frozenset[str]
    users: tuple[str, ...]
    uids: tuple[str, ...]
    groups: tuple[str, ...]
    extra_prefixes: tuple[str, ...]


def read_trust(data: Mapping[str, str]) -> Trust:
    """What the ConfigMap's data says.

    Raises PlatformError if the API server has no front proxy, or one for which every user could
    pass.
    """
    authorities = data.get(f"{_PREFIX}client-ca-file", "")
    names = frozenset(_read_list(data, "allowed-names"))
    try:
        trusted = _read_keys(authorities)
        of_users = _read_keys(data.get("client-ca-file", ""))
    except ValueError as error:
        raise PlatformError(f"the certificates in {CONFIG_MAP} cannot be read: {error}") from None
    if not trusted:
        raise PlatformError(
            "the API server has no front proxy: start it with --requestheader-client-ca-file and "
            "the flags that belong to it"
        )
    if trusted & of_users and not names:
        raise PlatformError(
            "every client certificate of the cluster could pass for its front proxy: start the API "
            "server with --requestheader-allowed-names, or with an authority of its own in "
            "--requestheader-client-ca-file"
        )
    return Trust(
        authorities,
        names,
        users=_read_headers(data, "username-headers"),
        uids=_read_headers(data, "uid-headers"),
        groups=_read_headers(data, "group-headers"),
        extra_prefixes=_read_headers(data, "extra-headers-prefix"),
    )


def _read_list(data: Mapping[str, str], key: str) -> list[str]:
    try:
        found = json.loads(data.get(_PREFIX + key) or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise PlatformError(f"expected a list of texts at {_PREFIX}{key} of {CONFIG_MAP}")
    return found


def _read_headers(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _read_list(data, key))


def _read_keys(pem: str) -> set[bytes]:
    """The public keys of these authorities: one that was issued again is the same. Raises
    ValueError.
    """
    if _BEGIN not in pem:
        return set()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    found = x509.load_pem_x509_certificates(pem.encode())
    return {one.public_key().public_bytes(*form) for one in found}


class FrontProxy:
    """The front proxy that is trusted now.

    `use` must be called before `context` serves the first connection.
    """

    def __init__(self) -> None:
        self._trust: Trust | None = None
        self._issued: Issued | None = None
        self._context: ssl.SSLContext | None = None

    def read_context(self) -> ssl.SSLContext:
        """The TLS of a new connection, which ends without the front proxy's certificate."""
        assert self._context is not None
        return self._context

    def use(self, trust: Trust, issued: Issued) -> None:
        """Serve with this certificate, and trust this front proxy from now on.

        Connections whose client another authority vouched for are refused. Raises SpecError if the
        certificate cannot be used; the previous one stays.
        """
        if issued != self._issued:
            load_certificate(new_context(), issued)
        if self._trust is None or trust.authorities != self._trust.authorities:
            context = _demand_certificate(trust.authorities)
            load_certificate(context, issued)
            self._context = context
        elif issued != self._issued:
            load_certificate(self.read_context(), issued)
        self._trust, self._issued = trust, issued

    def identify(self, connection: ssl.SSLObject | None, headers: Headers) -> Caller:
        """The caller that the front proxy names. Raises `Unauthenticated`."""
        trust = self._trust
        if trust is None or connection is None or connection.context is not self._context:
            raise Unauthenticated("The connection has no certificate of the front proxy.")
        _check_certificate(connection.getpeercert() or {}, trust)
        name = _read_one(headers, trust.users)
        if not name:
            raise Unauthenticated("The front proxy names no user.")
        groups = [group for header in trust.groups for group in headers.getall(header, [])]
        return Caller(
            name=name,
            uid=_read_one(headers, trust.uids),
            groups=tuple(groups),
            extra=_read_extra(headers, trust.extra_prefixes),
        )


def _demand_certificate(authorities: str) -> ssl.SSLContext:
    context = new_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authorities)
    # The authorities that are named are trusted themselves, and may lack key identifiers, as in the
    # API server.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags.VERIFY_DEFAULT)
    # Every connection proves itself: none resumes an earlier one.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _check_certificate(certificate: Mapping[str, Any], trust: Trust) -> None:
    """Check what the handshake does not, and that the certificate has not expired since."""
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = {value for key, value in subject if key == "commonName"}
    if not subject or (trust.names and not names & trust.names):
        raise Unauthenticated("The connection's certificate is not the front proxy's.")
    if ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time():
        raise Unauthenticated("The front proxy's certificate has expired.")


def _read_one(headers: Headers, names: tuple[str, ...]) -> str:
    """The value of the first of these headers that is there; "" without one.

    Raises `Unauthenticated` if it was sent twice: the front proxy sends it once.
    """
    for name in names:
        values = headers.getall(name, [])
        if len(values) > 1:
            raise Unauthenticated(f"The header {name} was sent {len(values)} times.")
        if values and values[0].strip():
            return values[0].strip()
    return ""


def _read_extra(headers: Headers, prefixes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        for prefix in prefixes:
            if header.lower().startswith(prefix):
                key = unquote(header.lower().removeprefix(prefix))
                found[key] = (*found.get(key, ()), value)
                break
    return found
