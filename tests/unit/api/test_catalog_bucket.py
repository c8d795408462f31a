"""The bucket of the catalog: opened once, and again when the catalog changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from opstrand.api.catalog_bucket import CatalogBucket
from opstrand.artifacts.bucket import open_bucket
from opstrand.controller.connections_file import read_connections
from opstrand.core.planning.connections import Catalog
from opstrand.errors import PlatformError, SpecError

CATALOG = """
artifactsStore:
  name: files
  kind: {kind}
  schema: {{bucket: "{url}"}}
  env: [{{name: AWS_REGION, value: here}}]
"""
KINDS = {
    "s3": "s3://bucket/prefix",
    "gcs": "gs://bucket/prefix",
    "wasb": "wasb://container@account.blob.core.windows.net/prefix",
}


@pytest.fixture
def _no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")


def read(folder: Path, kind: str) -> Catalog:
    (folder / "catalog.yaml").write_text(CATALOG.format(kind=kind, url=KINDS[kind]))
    found = read_connections(str(folder / "catalog.yaml"))
    assert found is not None
    return found


@pytest.mark.usefixtures("_no_cloud")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bucket_is_opened_once(tmp_path: Path, kind: str) -> None:
    catalog = read(tmp_path, kind)
    # For Pods it is no store: their collectors send the files to the API.
    assert catalog.store is None
    assert "files" in catalog.connections
    bucket = CatalogBucket(lambda: catalog)
    first = bucket.read()
    assert first is not None
    assert first.url == KINDS[kind]
    assert bucket.read() is first


def test_a_change_of_the_catalog_counts_at_once(tmp_path: Path) -> None:
    catalogs: list[Catalog | None] = [None]
    bucket = CatalogBucket(lambda: catalogs[-1])
    assert bucket.read() is None
    catalogs.append(read(tmp_path, "s3"))
    assert bucket.read() is not None
    catalogs.append(Catalog())
    assert bucket.read() is None


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("s3", "s3://"),
        ("s3", "s3:///prefix"),
        ("s3", "s3://[x"),
        ("gcs", "gs://a b"),
        ("wasb", "wasb://[x@account.blob.core.windows.net"),
    ],
)
def test_a_broken_url_is_refused_where_the_catalog_is_read(
    tmp_path: Path, kind: str, url: str
) -> None:
    place = tmp_path / "catalog.yaml"
    place.write_text(CATALOG.format(kind=kind, url=url))
    with pytest.raises(SpecError, match=r"artifactsStore\.schema\.bucket"):
        read_connections(str(place))


def test_a_url_that_cannot_be_parsed_is_an_error_of_the_bucket() -> None:
    with pytest.raises(PlatformError, match=r"s3://\[x cannot be opened"):
        open_bucket("s3", "s3://[x", {})


async def test_a_bug_while_the_bucket_is_checked_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def read_broken() -> Catalog:
        raise KeyError("bucket")

    await CatalogBucket(read_broken).prepare()
    assert "it is not known whether the bucket can be used" in caplog.text
