"""The syntax of names in Kubernetes: objects, labels, ports, variables, images, addresses, amounts.

Owns the syntax of one text at a time. Each function says whether a text is such a name; the
constants describe the names in messages. Must not know which field holds what: `rules` does.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

LABEL = "lower-case letters, digits and dashes, at most 63 characters"
SUBDOMAIN = (
    "lower-case letters, digits, '-' and '.', letters or digits at both ends, at most 253 "
    "characters"
)
QUALIFIED = (
    "at most 63 letters, digits, '-', '_' and '.', letters or digits at both ends, perhaps after "
    "DOMAIN/"
)
LABEL_VALUE = "at most 63 letters, digits, '-', '_' and '.', letters or digits at both ends"
PORT_NAME = "at most 15 lower-case letters, digits and single dashes, one letter at least"
CONFIG_KEY = "letters, digits, '-', '_' and '.', at most 253"
VARIABLE = "printable ASCII characters without '='"
IMAGE = "[HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], NAME in lower case"

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_CONFIG_KEY = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")
_QUANTITY = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3})?", re.ASCII
)
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}

_HOST = (
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_DOMAIN = re.compile(_HOST)
_IMAGE_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}")
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}


def is_label(text: str) -> bool:
    """Whether it can name a container or a volume."""
    return bool(_LABEL.fullmatch(text))


def is_subdomain(text: str) -> bool:
    """Whether it can name most kinds of objects."""
    return len(text) <= 253 and bool(_SUBDOMAIN.fullmatch(text))


def is_label_value(text: str) -> bool:
    return bool(_LABEL_VALUE.fullmatch(text))


def is_qualified(text: str) -> bool:
    """Whether it can be the key of a label, an annotation or a resource: NAME or DOMAIN/NAME."""
    domain, slash, name = text.rpartition("/")
    return bool(name) and is_label_value(name) and (not slash or is_subdomain(domain))


def is_port_name(text: str) -> bool:
    return bool(_PORT_NAME.fullmatch(text))


def is_config_key(text: str) -> bool:
    """Whether it can be a key of a Secret or ConfigMap."""
    return bool(_CONFIG_KEY.fullmatch(text))


def is_variable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and "=" not in text


def is_address(text: str) -> bool:
    """Whether it is an unambiguous IPv4 or IPv6 address: no leading zeros, no IPv4-mapped IPv6
    address, no zone.
    """
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        return "%" not in text and getattr(address, "ipv4_mapped", None) is None
    return False


def is_image(text: str) -> bool:
    """Whether the kubelet can parse it as an image: otherwise the Pod would never start."""
    name, at, digest = text.partition("@")
    if at and not _is_digest(digest):
        return False
    rest, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        if not _TAG.fullmatch(tag):
            return False
        name = rest
    return _is_image_name(name)


def _is_image_name(name: str) -> bool:
    first, slash, path = name.partition("/")
    has_domain = bool(slash) and (
        any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()
    )
    if has_domain and not _DOMAIN.fullmatch(first):
        return False
    path = path if has_domain else name
    # Kubernetes reads such a text as the ID of an image, which cannot be pulled.
    is_id = not has_domain and re.fullmatch(r"[0-9a-f]{64}", path)
    return (
        len(name) <= 255
        and not is_id
        and all(_IMAGE_PATH.fullmatch(part) for part in path.split("/"))
    )


def _is_digest(text: str) -> bool:
    algorithm, _, digits = text.partition(":")
    return bool(re.fullmatch(r"[0-9a-f]+", digits)) and len(digits) == _DIGESTS.get(algorithm)


def parse_quantity(value: Any) -> Decimal | None:
    """The number that an amount such as `500m`, `1Gi`, 2 or 0.5 stands for; None if it is not an
    amount.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.fullmatch(value if isinstance(value, str) else repr(value))
    if match is None:
        return None
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(1024 ** _BINARY[suffix])
    power = (
        int(suffix[1:]) if suffix[:1] in ("e", "E") and len(suffix) > 1 else _POWERS.get(suffix, 0)
    )
    return number.scaleb(power)
