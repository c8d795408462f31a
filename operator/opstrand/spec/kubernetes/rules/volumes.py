"""Checks of the volumes of a Pod."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from opstrand.spec.kubernetes.names import IMAGE, SUBDOMAIN, is_image, is_subdomain, parse_quantity
from opstrand.spec.kubernetes.parts import Fault, known_keys
from opstrand.spec.kubernetes.rules.checks import (
    MODE,
    Table,
    check_local,
    check_one_of,
    check_range,
    check_relative,
    check_single,
    check_text,
    fault,
    read_items,
    read_mapping,
)
from opstrand.spec.problems import describe

_TOKEN_LIFE = (600, 2**32)
_SOURCES = (
    "clusterTrustBundle",
    "configMap",
    "downwardAPI",
    "podCertificate",
    "secret",
    "serviceAccountToken",
)
_KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_DRIVER = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9.]{0,61}[a-zA-Z0-9])?")


def _check_source(value: Mapping[str, Any]) -> Iterator[Fault]:
    # A volume without a source is an emptyDir.
    sources = [key for key in known_keys()["Volume"] if key != "name"]
    given = [key for key in sources if value.get(key) is not None]
    if len(given) > 1:
        yield fault(
            f"a volume has one source, found {' and '.join(given)}: make two volumes", given[1]
        )


def _check_empty(value: Mapping[str, Any]) -> Iterator[Fault]:
    medium, size = value.get("medium"), parse_quantity(value.get("sizeLimit"))
    if size is not None and size < 0:
        yield fault(
            f"expected an amount of at least 0, found {describe(value['sizeLimit'])}", "sizeLimit"
        )
    if isinstance(medium, str) and not medium.startswith("HugePages-"):
        yield from check_one_of(medium, ("", "Memory", "HugePages"), "medium")


def _check_host_path(value: Mapping[str, Any]) -> Iterator[Fault]:
    if ".." in str(value.get("path")).split("/"):
        yield fault(f"expected a path without '..', found {describe(value['path'])}", "path")


def _check_files(name: str, value: Mapping[str, Any]) -> Iterator[Fault]:
    """Check a ConfigMap or Secret mounted as files; `name` is the key that holds its name."""
    if not value.get(name):
        yield fault("is required", name)
    yield from check_range(value.get("defaultMode"), 0, MODE, "defaultMode")


def _check_item(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_local(value.get("path"), "path")
    yield from check_range(value.get("mode"), 0, MODE, "mode")


def _check_modes(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("defaultMode"), 0, MODE, "defaultMode")


def _check_api_file(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_local(value.get("path"), "path")
    yield from check_range(value.get("mode"), 0, MODE, "mode")


def _check_projection(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_single(value, _SOURCES, "a projection", required=False)


def _check_paths(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Two sources of one volume must not write the same file."""
    seen: set[str] = set()
    for index, source in enumerate(map(read_mapping, read_items(value.get("sources")))):
        for key in ("configMap", "secret", "downwardAPI"):
            for number, item in enumerate(
                map(read_mapping, read_items(read_mapping(source.get(key)).get("items")))
            ):
                path = item.get("path")
                if isinstance(path, str) and path in seen:
                    yield fault(
                        f"there is a file {path!r} already",
                        "sources",
                        index,
                        key,
                        "items",
                        number,
                        "path",
                    )
                seen.add(str(path))


def _check_token(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("expirationSeconds"), *_TOKEN_LIFE, "expirationSeconds")
    yield from check_local(value.get("path"), "path")


def _check_bundle(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_single(value, ("name", "signerName"), "a trust bundle")
    if value.get("name") is not None and value.get("labelSelector") is not None:
        yield fault("a bundle by its name has no labelSelector", "labelSelector")
    yield from check_local(value.get("path"), "path")


def _check_certificate(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_one_of(value.get("keyType"), _KEY_TYPES, "keyType")
    yield from check_range(
        value.get("maxExpirationSeconds"), 3600, 91 * 86400, "maxExpirationSeconds"
    )
    for key in ("credentialBundlePath", "keyPath", "certificateChainPath"):
        yield from check_local(value.get(key), key)


def _check_nfs(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("path") and not str(value["path"]).startswith("/"):
        yield fault(f"expected an absolute path, found {describe(value['path'])}", "path")


def _check_driver(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(
        value.get("driver"),
        lambda text: bool(_DRIVER.fullmatch(text)),
        "the name of a CSI driver",
        "driver",
    )
    secret = value.get("nodePublishSecretRef")
    if isinstance(secret, Mapping):
        if not secret.get("name"):
            yield fault("is required", "nodePublishSecretRef", "name")
        else:
            yield from check_text(
                secret["name"], is_subdomain, SUBDOMAIN, "nodePublishSecretRef", "name"
            )


def _check_ephemeral(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("volumeClaimTemplate") is None:
        yield fault("is required", "volumeClaimTemplate")
    for key in read_mapping(read_mapping(value.get("volumeClaimTemplate")).get("metadata")):
        if key not in ("labels", "annotations"):
            yield fault(
                "a claim's template has labels and annotations alone: remove it",
                "volumeClaimTemplate",
                "metadata",
                key,
            )


def _check_claim_spec(value: Mapping[str, Any]) -> Iterator[Fault]:
    modes = read_items(value.get("accessModes"))
    if not modes:
        yield fault("expected at least one access mode", "accessModes")
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield fault("ReadWriteOncePod is used alone", "accessModes")
    amount = read_mapping(read_mapping(value.get("resources")).get("requests")).get("storage")
    size = parse_quantity(amount)
    if amount is None:
        yield fault("is required", "resources", "requests", "storage")
    elif size is not None and size <= 0:
        yield fault(
            f"expected an amount above 0, found {describe(amount)}",
            "resources",
            "requests",
            "storage",
        )
    if value.get("storageClassName"):
        yield from check_text(
            value["storageClassName"], is_subdomain, SUBDOMAIN, "storageClassName"
        )


def _check_image(value: Mapping[str, Any]) -> Iterator[Fault]:
    if not value.get("reference"):
        yield fault("is required", "reference")
    else:
        yield from check_text(value["reference"], is_image, IMAGE, "reference")


def _check_monitors(value: Mapping[str, Any]) -> Iterator[Fault]:
    if not read_items(value.get("monitors")):
        yield fault("expected at least one", "monitors")


def _check_fibre(value: Mapping[str, Any]) -> Iterator[Fault]:
    if bool(read_items(value.get("targetWWNs"))) == bool(read_items(value.get("wwids"))):
        yield fault("expected either targetWWNs or wwids", "targetWWNs")
    elif value.get("targetWWNs") and value.get("lun") is None:
        yield fault("is required with targetWWNs", "lun")
    yield from check_range(value.get("lun"), 0, 255, "lun")


def _check_partition(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("partition"), 0, 255, "partition")


def _check_repository(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_relative(value.get("directory"), "directory")


RULES: Table = {
    "Volume": (_check_source,),
    "EmptyDirVolumeSource": (_check_empty,),
    "HostPathVolumeSource": (_check_host_path,),
    "ConfigMapVolumeSource": (partial(_check_files, "name"),),
    "SecretVolumeSource": (partial(_check_files, "secretName"),),
    "ConfigMapProjection": (partial(_check_files, "name"),),
    "SecretProjection": (partial(_check_files, "name"),),
    "KeyToPath": (_check_item,),
    "ProjectedVolumeSource": (_check_modes, _check_paths),
    "VolumeProjection": (_check_projection,),
    "ServiceAccountTokenProjection": (_check_token,),
    "ClusterTrustBundleProjection": (_check_bundle,),
    "PodCertificateProjection": (_check_certificate,),
    "DownwardAPIVolumeSource": (_check_modes,),
    "DownwardAPIVolumeFile": (_check_api_file,),
    "NFSVolumeSource": (_check_nfs,),
    "CSIVolumeSource": (_check_driver,),
    "EphemeralVolumeSource": (_check_ephemeral,),
    "PersistentVolumeClaimSpec": (_check_claim_spec,),
    "ImageVolumeSource": (_check_image,),
    "RBDVolumeSource": (_check_monitors,),
    "CephFSVolumeSource": (_check_monitors,),
    "FCVolumeSource": (_check_fibre,),
    "GCEPersistentDiskVolumeSource": (_check_partition,),
    "AWSElasticBlockStoreVolumeSource": (_check_partition,),
    "GitRepoVolumeSource": (_check_repository,),
}
