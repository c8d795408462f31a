"""Checks of where a Pod may run (tolerations, affinity, selectors) and of its DNS settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.names import (
    LABEL_VALUE,
    QUALIFIED,
    SUBDOMAIN,
    is_address,
    is_label,
    is_label_value,
    is_qualified,
    is_subdomain,
)
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules.checks import (
    Table,
    below,
    check_one_of,
    check_range,
    check_text,
    fault,
    read_items,
    read_mapping,
)
from opstrand.spec.problems import describe

_ADDRESS = "an IP address, without leading zeros"
#: The largest numbers of name servers, search domains and characters of all search domains.
_SERVERS, _SEARCHES, _SEARCH_LENGTH = 3, 32, 2048


def _check_toleration(value: Mapping[str, Any]) -> Iterator[Fault]:
    operator = value.get("operator")
    if value.get("key"):
        yield from check_text(value["key"], is_qualified, QUALIFIED, "key")
    elif operator != "Exists":
        yield fault("without a key, which means all keys, expected Exists", "operator")
    if value.get("tolerationSeconds") is not None and value.get("effect") != "NoExecute":
        yield fault("tolerationSeconds needs the effect NoExecute", "effect")
    if operator == "Exists" and value.get("value"):
        yield fault(
            f"Exists has no value, found {describe(value['value'])}: remove it, or use Equal",
            "value",
        )
    elif operator in ("Gt", "Lt"):
        yield from check_text(
            value.get("value") or "",
            _is_whole,
            f"a whole number, with which {operator} compares",
            "value",
        )
    elif operator in (None, "", "Equal"):
        yield from check_text(value.get("value"), is_label_value, LABEL_VALUE, "value")


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text) is not None


def _check_node_requirement(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(value.get("key"), is_qualified, QUALIFIED, "key")
    yield from _check_operands(value)
    if value.get("operator") in ("Gt", "Lt"):
        values = read_items(value.get("values"))
        if len(values) != 1:
            yield fault(
                f"{value['operator']} compares with one value, found {len(values)}", "values"
            )


def _check_label_requirement(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(value.get("key"), is_qualified, QUALIFIED, "key")
    yield from check_one_of(
        value.get("operator"), ("In", "NotIn", "Exists", "DoesNotExist"), "operator"
    )
    yield from _check_operands(value)
    for index, one in enumerate(read_items(value.get("values"))):
        yield from check_text(one, is_label_value, LABEL_VALUE, "values", index)


def _check_operands(value: Mapping[str, Any]) -> Iterator[Fault]:
    operator, values = value.get("operator"), read_items(value.get("values"))
    if operator in ("In", "NotIn") and not values:
        yield fault(f"{operator} needs values", "values")
    if operator in ("Exists", "DoesNotExist") and values:
        yield fault(f"{operator} has no values: remove them", "values")


def _check_node_term(value: Mapping[str, Any]) -> Iterator[Fault]:
    """The only field of a node that can be matched is its name."""
    for index, one in enumerate(map(read_mapping, read_items(value.get("matchFields")))):
        path = ("matchFields", index)
        yield from check_one_of(one.get("key"), ("metadata.name",), *path, "key")
        yield from check_one_of(one.get("operator"), ("In", "NotIn"), *path, "operator")
        values = read_items(one.get("values"))
        if len(values) != 1:
            yield fault(f"expected one name of a node, found {len(values)}", *path, "values")
        for number, name in enumerate(values):
            yield from check_text(name, is_subdomain, SUBDOMAIN, *path, "values", number)


def _check_expressions(value: Mapping[str, Any]) -> Iterator[Fault]:
    for index, one in enumerate(map(read_mapping, read_items(value.get("matchExpressions")))):
        yield from below(_check_node_requirement(one), "matchExpressions", index)


def _check_required_terms(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Values must be label values only here: Kubernetes accepts any value in a preferred term."""
    terms = read_items(value.get("nodeSelectorTerms"))
    if not terms:
        yield fault("expected at least one", "nodeSelectorTerms")
    for number, term in enumerate(map(read_mapping, terms)):
        for place, one in enumerate(map(read_mapping, read_items(term.get("matchExpressions")))):
            for index, text in enumerate(read_items(one.get("values"))):
                path = ("nodeSelectorTerms", number, "matchExpressions", place, "values", index)
                yield from check_text(text, is_label_value, LABEL_VALUE, *path)


def _check_labels(value: Mapping[str, Any]) -> Iterator[Fault]:
    for key, text in read_mapping(value.get("matchLabels")).items():
        yield from check_text(key, is_qualified, QUALIFIED, "matchLabels", key)
        yield from check_text(text, is_label_value, LABEL_VALUE, "matchLabels", key)


def _check_weight(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("weight"), 1, 100, "weight")


def _check_pod_term(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(value.get("topologyKey"), is_qualified, QUALIFIED, "topologyKey")
    for index, name in enumerate(read_items(value.get("namespaces"))):
        yield from check_text(name, is_label, "the name of a namespace", "namespaces", index)
    keys = {name: read_items(value.get(name)) for name in ("matchLabelKeys", "mismatchLabelKeys")}
    for name, items in keys.items():
        if items and value.get("labelSelector") is None:
            yield fault(f"{name} needs a labelSelector", name)
        for index, key in enumerate(items):
            yield from check_text(key, is_qualified, QUALIFIED, name, index)
            if name == "matchLabelKeys" and key in keys["mismatchLabelKeys"]:
                yield fault(f"{key!r} is in mismatchLabelKeys too", name, index)


def _check_host(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(value.get("ip"), is_address, _ADDRESS, "ip")
    for index, name in enumerate(read_items(value.get("hostnames"))):
        yield from check_text(name, is_subdomain, SUBDOMAIN, "hostnames", index)


def _check_dns(value: Mapping[str, Any]) -> Iterator[Fault]:
    servers, searches = read_items(value.get("nameservers")), read_items(value.get("searches"))
    if len(servers) > _SERVERS:
        yield fault(f"expected at most {_SERVERS}, found {len(servers)}", "nameservers")
    for index, server in enumerate(servers):
        yield from check_text(server, is_address, _ADDRESS, "nameservers", index)
    if len(searches) > _SEARCHES or len(" ".join(map(str, searches))) > _SEARCH_LENGTH:
        yield fault(
            f"expected at most {_SEARCHES} domains of {_SEARCH_LENGTH} characters together",
            "searches",
        )
    for index, domain in enumerate(searches):
        yield from check_text(domain, _is_search_domain, SUBDOMAIN, "searches", index)
    for index, option in enumerate(map(read_mapping, read_items(value.get("options")))):
        if not option.get("name"):
            yield fault("is required", "options", index, "name")


def _is_search_domain(text: str) -> bool:
    """Whether it is a domain, in which underscores and a dot at the end are allowed too."""
    return text == "." or is_subdomain(
        re.sub(r"(?<![a-z0-9])_|_(?=[a-z0-9])", "a", text.removesuffix("."))
    )


RULES: Table = {
    "Toleration": (_check_toleration,),
    "NodeSelectorTerm": (_check_node_term, _check_expressions),
    "NodeSelector": (_check_required_terms,),
    "LabelSelector": (_check_labels,),
    "LabelSelectorRequirement": (_check_label_requirement,),
    "PreferredSchedulingTerm": (_check_weight,),
    "WeightedPodAffinityTerm": (_check_weight,),
    "PodAffinityTerm": (_check_pod_term,),
    "HostAlias": (_check_host,),
    "PodDNSConfig": (_check_dns,),
}
