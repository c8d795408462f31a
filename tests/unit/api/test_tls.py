"""The API's certificate passes strict verification, and a changed certificate is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from opstrand.api.certificates import Issued, issue, main, reach_hosts, service_hosts
from opstrand.api.own_certificate import complete
from opstrand.api.tls import Files, ServedCertificate
from opstrand.errors import SpecError
from opstrand.settings import Settings

HOSTS = ["opstrand-api.opstrand", "localhost", "127.0.0.1", "::1"]


def write(folder: Path, issued: Issued) -> tuple[str, str, str]:
    """Write the files and return the paths of certificate, key and authority."""
    paths = [folder / name for name in ("tls.crt", "tls.key", "ca.crt")]
    for path, text in zip(paths, (issued.certificate, issued.key, issued.authority), strict=True):
        path.write_text(text)
    return str(paths[0]), str(paths[1]), str(paths[2])


@contextlib.asynccontextmanager
async def serving(certificate: ServedCertificate) -> AsyncIterator[int]:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=certificate.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def connect(port: int, authority: str, name: str = "opstrand-api.opstrand") -> str:
    """Return the serial number of the served certificate, verified as strictly as Python can."""
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    assert await reader.read() == b"hello"
    serial = str(writer.get_extra_info("peercert")["serialNumber"])
    writer.close()
    return serial


async def test_what_is_made_is_trusted_by_its_authority_alone_and_for_its_names_alone(
    tmp_path: Path,
) -> None:
    issued, other = issue(HOSTS), issue(HOSTS)
    certificate, key, _ = write(tmp_path, issued)
    served = ServedCertificate(Files(Path(certificate), Path(key)))
    await served.read_again()
    async with serving(served) as port:
        for name in HOSTS:
            await connect(port, issued.authority, name)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, issued.authority, "elsewhere.opstrand")
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, other.authority)


async def test_a_certificate_that_changes_is_served_and_one_that_cannot_be_is_not(
    tmp_path: Path,
) -> None:
    first, second = issue(HOSTS), issue(HOSTS)
    path, key, _ = write(tmp_path, first)
    certificate = ServedCertificate(Files(Path(path), Path(key)))
    await certificate.read_again()
    async with serving(certificate) as port:
        before = await connect(port, first.authority)
        # with the key of the first one
        for broken in (
            second.certificate,
            "",
            second.certificate[:100],
        ):
            write(tmp_path, Issued(first.authority, broken, first.key))
            with pytest.raises(SpecError, match="cannot be read"):
                await certificate.read_again()
            assert await connect(port, first.authority) == before
        write(tmp_path, second)
        await certificate.read_again()
        assert await connect(port, second.authority) != before


async def test_it_keeps_looking_after_what_it_could_not_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = issue(HOSTS), issue(HOSTS)
    path, key, _ = write(tmp_path, first)
    certificate = ServedCertificate(Files(Path(path), Path(key)))
    await certificate.read_again()
    looking = asyncio.create_task(certificate.keep_reading(0.001))
    async with serving(certificate) as port:
        both = first.authority + second.authority
        before = await connect(port, both)
        write(tmp_path, Issued(first.authority, "", first.key))
        while not any(record.levelno == logging.WARNING for record in caplog.records):
            assert await connect(port, both) == before
        write(tmp_path, second)
        async with asyncio.timeout(60):
            while await connect(port, both) == before:
                pass
    looking.cancel()


async def test_what_cannot_be_read_is_said_at_the_start(tmp_path: Path) -> None:
    certificate, key, authority = write(tmp_path, issue(HOSTS))
    empty = tmp_path / "empty"
    empty.write_text("")
    for files in ((str(tmp_path / "none"), key), (certificate, str(empty)), (authority, key)):
        with pytest.raises(SpecError, match="cannot be read"):
            await ServedCertificate(Files(*map(Path, files))).read_again()
    given = Files(Path(certificate), Path(key), needs_authority=True)
    for text in ("", "x", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        given.authority.write_text(text)
        with pytest.raises(SpecError, match="cannot be read"):
            await ServedCertificate(given).read_again()


def test_settings_that_cannot_be_are_said_at_the_start(tmp_path: Path) -> None:
    certificate, _, authority = write(tmp_path, issue(HOSTS))
    empty = tmp_path / "empty"
    empty.write_text("")
    assert (
        Settings.from_environment({"OPSTRAND_API_CA": authority}).api_ca
        == Path(authority).read_text()
    )
    assert Settings.from_environment({"OPSTRAND_API_CA": ""}).api_ca == ""
    for path in (str(tmp_path / "none"), str(empty), str(tmp_path)):
        with pytest.raises(SpecError, match="OPSTRAND_API_CA"):
            Settings.from_environment({"OPSTRAND_API_CA": path})
    for only in ("OPSTRAND_API_TLS_CERT", "OPSTRAND_API_TLS_KEY"):
        with pytest.raises(SpecError, match="both of"):
            Settings.from_environment({only: certificate})


def test_the_secret_has_what_the_manifests_mount(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--namespace", "runs", "api.example.com", "10.0.0.1"]) == 0
    secret: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (secret["type"], secret["metadata"]) == (
        "kubernetes.io/tls",
        {"name": "opstrand-api-tls", "namespace": "runs"},
    )
    assert set(secret["stringData"]) == {"tls.crt", "tls.key", "ca.crt"}
    assert "PRIVATE KEY" not in secret["stringData"]["ca.crt"] + secret["stringData"]["tls.crt"]
    found = x509.load_pem_x509_certificate(secret["stringData"]["tls.crt"].encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        *service_hosts("opstrand-api", "runs")[:-1],
        "api.example.com",
    ]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "10.0.0.1",
    ]


EMPTY = dict.fromkeys(("ca.crt", "ca.key", "tls.crt", "tls.key"), "")
NOW = datetime.now(UTC)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {key for key in before if before[key] != after[key]}


async def test_an_authority_is_made_once_and_its_certificate_as_often_as_it_must_be(
    tmp_path: Path,
) -> None:
    first = complete(EMPTY, HOSTS, NOW)
    assert (
        complete(first, HOSTS, NOW)
        == complete(first, HOSTS[:2], NOW + timedelta(days=200))
        == first
    )
    leaf = {"tls.crt", "tls.key"}
    for hosts, days in ((HOSTS, 300), ([*HOSTS, "api.example.com"], 0)):
        renewed = complete(first, hosts, NOW + timedelta(days=days))
        assert changed(first, renewed) == leaf
        path, key, _ = write(
            tmp_path, Issued(renewed["ca.crt"], renewed["tls.crt"], renewed["tls.key"])
        )
        served = ServedCertificate(Files(Path(path), Path(key)))
        await served.read_again()
        async with serving(served) as port:
            for host in hosts:
                await connect(port, first["ca.crt"], host)
    assert changed(first, complete(first, HOSTS, NOW + timedelta(days=3400))) == set(EMPTY), (
        "it would end before its next certificate"
    )


def test_what_is_broken_is_made_again_and_nothing_else() -> None:
    first, other = complete(EMPTY, HOSTS, NOW), complete(EMPTY, HOSTS, NOW)
    authority, leaf = {"ca.crt", "ca.key"}, {"tls.crt", "tls.key"}
    for text in ("", "x", None):
        for key in EMPTY:
            broken = {**first, key: other[key] if text is None else text}
            repaired = complete(broken, HOSTS, NOW)
            kept = {one for one in EMPTY if repaired[one] == first[one]}
            assert kept == (authority if key in leaf else set()), (key, text)
            assert complete(repaired, HOSTS, NOW) == repaired
    mixed = complete({**first, **{key: other[key] for key in leaf}}, HOSTS, NOW)
    assert {key for key in EMPTY if mixed[key] == first[key]} == authority, (
        "a certificate of another authority"
    )


def test_a_certificate_names_what_the_api_is_reached_by() -> None:
    assert reach_hosts(["https://opstrand-api.runs:8000", "https://runs.example.com"]) == [
        "opstrand-api.runs",
        "runs.example.com",
        "opstrand-api.runs.svc",
        "opstrand-api.runs.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ]
    assert reach_hosts(["https://10.0.0.1:8000", ""]) == ["10.0.0.1", "localhost", "127.0.0.1"]
