"""Who the front proxy is, as the cluster says it, and a port that only it can talk to."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from tests.cluster.certificates import Authority

from opstrand.api.aggregated import create_aggregated_app
from opstrand.api.app import create_app
from opstrand.api.auth.callers import Caller, StaticToken, Unauthenticated
from opstrand.api.auth.front_proxy import FrontProxy, Trust, read_trust
from opstrand.api.certificates import Issued, issue
from opstrand.api.connections import ConnectionLimits, Runner
from opstrand.errors import PlatformError
from opstrand.runs.memory import MemoryRuns

NAME = "front-proxy-client"
HEADERS = {
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "front-proxy-ca")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "front-proxy-ca")


def data(authority: Authority, *names: str, users: str = "") -> dict[str, str]:
    return {
        **HEADERS,
        "client-ca-file": users,
        "requestheader-client-ca-file": authority.pair.certificate.read_text(),
        "requestheader-allowed-names": json.dumps(names),
    }


def test_the_cluster_says_which_certificate_and_headers_count(
    authority: Authority, other: Authority
) -> None:
    users = other.pair.certificate.read_text()
    assert read_trust(data(authority, NAME, users=users)) == Trust(
        authority.pair.certificate.read_text(),
        frozenset({NAME}),
        users=("x-remote-user",),
        uids=("x-remote-uid",),
        groups=("x-remote-group",),
        extra_prefixes=("x-remote-extra-",),
    )
    assert read_trust(data(authority, users=users)).names == frozenset()


def test_an_authority_that_vouches_for_every_user_too_needs_a_name(authority: Authority) -> None:
    users = authority.pair.certificate.read_text()
    assert read_trust(data(authority, NAME, users=users)).names == {NAME}
    with pytest.raises(PlatformError, match="--requestheader-allowed-names"):
        read_trust(data(authority, users=f"text before\n{users}"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"requestheader-client-ca-file": ""}, "has no front proxy"),
        ({"requestheader-client-ca-file": "x"}, "has no front proxy"),
        (
            {
                "requestheader-client-ca-file": "-----BEGIN CERTIFICATE-----\n!\n"
                "-----END CERTIFICATE-----"
            },
            "cannot be read",
        ),
        ({"requestheader-allowed-names": "front-proxy-client"}, "expected a list of texts"),
        ({"requestheader-username-headers": '{"a": 1}'}, "expected a list of texts"),
        ({"requestheader-group-headers": "[1]"}, "expected a list of texts"),
    ],
)
def test_what_cannot_be_read_is_named(
    authority: Authority, given: dict[str, str], message: str
) -> None:
    with pytest.raises(PlatformError, match=message):
        read_trust({**data(authority, NAME), **given})


@pytest.fixture(scope="module")
def issued() -> Issued:
    return issue(["localhost"])


@asynccontextmanager
async def open_port(proxy: FrontProxy) -> AsyncIterator[str]:
    """Yield the URL of the group behind this front proxy."""
    app = create_aggregated_app(create_app(MemoryRuns(), StaticToken("x")), proxy)
    limits = ConnectionLimits()
    runner = Runner(app, limits=limits, shutdown_timeout=0.1, tls=proxy.read_context)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/apis/runs.opstrand.dev/v1alpha1"
    finally:
        await runner.cleanup()


def client(authority: Authority, name: str) -> aiohttp.ClientSession:
    pair = authority.issue(name, f"/CN={name}")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pair.certificate, pair.key)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=1), headers={"X-Remote-User": "anna"}
    )


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


async def test_a_changed_authority_ends_the_trust_in_open_connections(
    authority: Authority, other: Authority, issued: Issued
) -> None:
    proxy = FrontProxy()
    proxy.use(read_trust(data(authority, NAME)), issued)
    async with open_port(proxy) as url, client(authority, NAME) as old, client(other, NAME) as new:
        assert await status(old, url) == 200
        with pytest.raises(aiohttp.ClientError):
            await status(new, url)
        proxy.use(read_trust(data(other, NAME)), issued)
        assert await status(old, url) == 401
        assert await status(new, url) == 200


async def test_a_renewed_certificate_leaves_open_connections_alone(
    authority: Authority, issued: Issued
) -> None:
    proxy, trust = FrontProxy(), read_trust(data(authority, NAME))
    proxy.use(trust, issued)
    async with open_port(proxy) as url, client(authority, NAME) as http:
        assert await status(http, url) == 200
        proxy.use(trust, issue(["localhost"]))
        assert await status(http, url) == 200


async def test_a_changed_list_of_names_counts_from_the_next_request_on(
    authority: Authority, issued: Issued
) -> None:
    proxy = FrontProxy()
    async with client(authority, "first") as http:
        proxy.use(read_trust(data(authority, "first")), issued)
        async with open_port(proxy) as url:
            assert await status(http, url) == 200
            proxy.use(read_trust(data(authority, "second")), issued)
            assert await status(http, url) == 401
            proxy.use(read_trust(data(authority)), issued)
            assert await status(http, url) == 200


class Proven:
    """A connection with the TLS of `proxy`, and a certificate of that subject."""

    def __init__(self, proxy: FrontProxy, until: str = "Jan  1 00:00:00 2999 GMT") -> None:
        self.context, self._until = proxy.read_context(), until

    def getpeercert(self) -> dict[str, Any]:
        return {"subject": ((("commonName", NAME),),), "notAfter": self._until}


@pytest.fixture
def identify(authority: Authority, issued: Issued) -> Callable[..., Caller]:
    proxy = FrontProxy()
    proxy.use(read_trust(data(authority, NAME)), issued)

    def identify(*headers: tuple[str, str], **options: Any) -> Caller:
        connection: Any = Proven(proxy, **options)
        return proxy.identify(connection, CIMultiDictProxy(CIMultiDict(headers)))

    return identify


def test_a_caller_has_what_the_headers_say_and_is_never_a_run(
    identify: Callable[..., Caller],
) -> None:
    caller = identify(
        ("x-remote-user", "system:serviceaccount:team:default"),
        ("X-Remote-Uid", "1"),
        ("X-Remote-Group", "a"),
        ("X-Remote-Group", "b"),
        ("X-Remote-Extra-Authentication.kubernetes.io%2fpod-name", "echo-0"),
        ("X-Remote-Extra-scopes", "one"),
        ("X-Remote-Extra-Scopes", "two"),
    )
    extra = {"authentication.kubernetes.io/pod-name": ("echo-0",), "scopes": ("one", "two")}
    name = "system:serviceaccount:team:default"
    assert caller == Caller(name=name, uid="1", groups=("a", "b"), extra=extra)
    assert not caller.is_run


def test_an_expired_certificate_is_refused_on_an_open_connection(
    identify: Callable[..., Caller],
) -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        identify(("X-Remote-User", "anna"), until="Jan  1 00:00:00 2020 GMT")


def test_before_the_front_proxy_is_known_no_one_is(tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated):
        FrontProxy().identify(None, CIMultiDictProxy(CIMultiDict({"X-Remote-User": "anna"})))
