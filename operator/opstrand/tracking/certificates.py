"""`python -m opstrand.tracking.certificates`: a certificate for the API, and the authority that runs trust it by, as a Secret to apply.

The authority's key is thrown away: nothing else can be issued by it, and neither Deployment needs a right on Secrets. Owns what is in the
certificates. Must not talk to a cluster.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SECRET = "opstrand-api-tls"
DAYS = 1825
#: A clock that is behind must not refuse what was made a moment ago.
_EARLIER = timedelta(hours=1)
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """PEM: the authority's certificate, the API's, and the API's key."""

    authority: str
    certificate: str
    key: str


def service_hosts(service: str, namespace: str) -> list[str]:
    """The names of a Service inside a cluster, and the loopback for a port-forward."""
    name = f"{service}.{namespace}"
    return [name, service, f"{name}.svc", f"{name}.svc.cluster.local", "localhost", "127.0.0.1"]


def issue(hosts: Sequence[str], *, days: int = DAYS) -> Issued:
    """A new authority, and its only certificate: for a server of these names and addresses."""
    begin = datetime.now(UTC) - _EARLIER
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    named = _name("opstrand API authority")
    authority = (
        _begin(named, named, authority_key, begin, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(_name(hosts[0]), named, key, begin, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issued(_pem(authority), _pem(certificate), private.decode())


def _begin(subject: x509.Name, issuer: x509.Name, key: Key, begin: datetime, days: int) -> x509.CertificateBuilder:
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


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_secret(issued: Issued, namespace: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": issued.authority},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m opstrand.tracking.certificates", description="print a Secret with a certificate for the API"
    )
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="further names and addresses that the API is reached by")
    parser.add_argument("--namespace", default="opstrand", help="the namespace of the API")
    parser.add_argument("--service", default="opstrand-api", help="the Service of the API")
    parser.add_argument("--days", type=int, default=DAYS, help=f"how long the certificate is good ({DAYS})")
    asked = parser.parse_args(arguments)
    issued = issue([*service_hosts(asked.service, asked.namespace), *asked.hosts], days=asked.days)
    sys.stdout.write(json.dumps(make_secret(issued, asked.namespace), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
