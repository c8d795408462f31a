"""Which proxy leads to an API server, by the rules of kubectl (Go's ProxyFromEnvironment).

aiohttp's own `trust_env` reads .netrc too, knows no CIDR and sends loopback addresses to the proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


def find_proxy(server: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy that the environment names for this server; None: go direct.

    Raises ValueError for a proxy that is not spoken to.
    """
    url = urlsplit(server)
    scheme, host = url.scheme.lower(), url.hostname or ""
    name = _find_variable(f"{scheme}_proxy", environ)
    if not name or _is_loopback(host):
        return None
    excluded = _find_variable("no_proxy", environ)
    port = url.port or _PORTS.get(scheme, 0)
    if excluded and _is_excluded(host, port, environ[excluded]):
        return None
    return read_proxy(environ[name], f"${name}")


def read_proxy(given: str, where: str) -> str:
    """Return a proxy's URL with its scheme. Raises ValueError if we cannot speak to it."""
    proxy = given if "://" in given else f"http://{given}"
    url = urlsplit(proxy)
    if url.scheme.lower() not in _SCHEMES or not url.hostname:
        shown = f"{url.scheme}://{url.hostname or ''}"
        raise ValueError(f"{where} names the proxy {shown!r}: expected http://HOST:PORT")
    return proxy


def _find_variable(name: str, environ: Mapping[str, str]) -> str:
    return next((one for one in (name.upper(), name) if environ.get(one)), "")


def _is_loopback(host: str) -> bool:
    address = _parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_excluded(host: str, port: int, entries: str) -> bool:
    return any(
        _matches(host.lower(), port, entry) for entry in entries.lower().replace(",", " ").split()
    )


def _matches(host: str, port: int, entry: str) -> bool:
    """Whether NO_PROXY's entry means this host: `*`, an address, a CIDR, or a domain. All but a
    CIDR may name a port.
    """
    if entry == "*":
        return True
    address = _parse_address(host)
    if "/" in entry:
        return address is not None and _is_in(address, entry)
    domain, separator, its_port = entry.rpartition(":")
    if separator and its_port.isdigit() and (":" not in domain or domain.endswith("]")):
        if int(its_port) != port:
            return False
        entry = domain
    entry = entry.strip("[]").removeprefix("*")
    if address is not None:
        return _parse_address(entry) == address
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, cidr: str) -> bool:
    try:
        return address in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False
