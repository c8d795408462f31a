"""Certificate authorities, and the API's certificate issued by one of them.

`python -m opstrand.api.certificates` prints both as a Secret to apply. Owns what is in the
certificates. Must not talk to a cluster.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SECRET = "opstrand-api-tls"
DAYS = 1825
#: Days of validity of an authority whose key is kept, and of each certificate that it issues.
AUTHORITY_DAYS, RENEWED_DAYS = 3650, 365
#: A client whose clock is behind must accept a new certificate.
_EARLIER = timedelta(hours=1)
#: The short address of a Service from another namespace: `service.namespace`.
_SHORT = r"[a-z][a-z0-9-]*\.[a-z0-9-]*[a-z][a-z0-9-]*"
Key = ec.EllipticCurvePrivateKey


#: A certificate is renewed when one part in this many of its validity is left.
_LAST_PART = 3


@dataclass(frozen=True)
class Issued:
    """PEM: the authority's certificate, the API's, and the API's key."""

    authority: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Authority:
    """PEM: the trusted certificate, and the key that signs."""

    certificate: str
    key: str


def service_hosts(service: str, namespace: str) -> list[str]:
    """The names of a Service inside a cluster, and the loopback names for a port-forward."""
    name = f"{service}.{namespace}"
    return [name, service, f"{name}.svc", f"{name}.svc.cluster.local", "localhost", "127.0.0.1"]


def reach_hosts(urls: Sequence[str]) -> list[str]:
    """The names that a certificate needs for the API to be reached at these URLs, and by a
    port-forward.
    """
    named = [host for url in urls if (host := urlsplit(url).hostname)]
    # `service.namespace` is short for these inside a cluster.
    full = [
        host + end
        for host in named
        if re.fullmatch(_SHORT, host)
        for end in (".svc", ".svc.cluster.local")
    ]
    return list(dict.fromkeys([*named, *full, "localhost", "127.0.0.1"]))


def issue(hosts: Sequence[str], *, days: int = DAYS) -> Issued:
    """A new authority and its only certificate: the authority's key is thrown away."""
    return issue_by(make_authority(days=days), hosts, days=days)


def make_authority(*, days: int = AUTHORITY_DAYS) -> Authority:
    key, named = ec.generate_private_key(ec.SECP256R1()), _name("opstrand API authority")
    certificate = (
        _begin(named, named, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _key_pem(key))


def issue_by(authority: Authority, hosts: Sequence[str], *, days: int = RENEWED_DAYS) -> Issued:
    """A certificate for a server of these names and addresses, with a new key.

    Raises ValueError if `authority` is invalid.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signing, key = _load_key(authority.key), ec.generate_private_key(ec.SECP256R1())
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(_name(hosts[0]), issuer.subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(signing, hashes.SHA256())
    )
    return Issued(authority.certificate, _pem(certificate), _key_pem(key))


def is_authority(authority: Authority, now: datetime) -> bool:
    """Whether it is valid and outlives a certificate that it issues now."""
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate.encode())
        fits = certificate.public_key() == _load_key(authority.key).public_key()
    except ValueError:
        return False
    return fits and certificate.not_valid_after_utc - now > timedelta(days=RENEWED_DAYS)


def is_good(issued: Issued, hosts: Sequence[str], now: datetime) -> bool:
    """Whether the certificate is its authority's, fits its key, names all hosts, and is not due for
    renewal.
    """
    try:
        certificate = x509.load_pem_x509_certificate(issued.certificate.encode())
        certificate.verify_directly_issued_by(
            x509.load_pem_x509_certificate(issued.authority.encode())
        )
        fits = certificate.public_key() == _load_key(issued.key).public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (
        fits
        and {_alternative(host) for host in hosts} <= set(names)
        and end - now > (end - begin) / _LAST_PART
    )


def _begin(subject: x509.Name, issuer: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) - _EARLIER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _load_key(text: str) -> Key:
    """Raises ValueError, also for another kind of key."""
    key = serialization.load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("expected an elliptic curve key")
    return key


def _key_pem(key: Key) -> str:
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_secret(issued: Issued, namespace: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {
            "tls.crt": issued.certificate,
            "tls.key": issued.key,
            "ca.crt": issued.authority,
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m opstrand.api.certificates",
        description="print a Secret with a certificate for the API",
    )
    parser.add_argument(
        "hosts",
        nargs="*",
        metavar="HOST",
        help="further names and addresses that the API is reached by",
    )
    parser.add_argument("--namespace", default="opstrand", help="the namespace of the API")
    parser.add_argument("--service", default="opstrand-api", help="the Service of the API")
    parser.add_argument(
        "--days", type=int, default=DAYS, help=f"how long the certificate is good ({DAYS})"
    )
    asked = parser.parse_args(arguments)
    issued = issue([*service_hosts(asked.service, asked.namespace), *asked.hosts], days=asked.days)
    sys.stdout.write(json.dumps(make_secret(issued, asked.namespace), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
