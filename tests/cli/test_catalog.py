"""Commands without a cluster take a catalog of connections, or say that they lack one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Cli

CATALOG = {
    "connections": [{"name": "quay", "kind": "registry", "schema": {"url": "quay.test/team"}}]
}
FILE = """\
kind: component
run:
  kind: job
  connections: [quay]
  container:
    image: busybox
    command: [echo]
    args: ["{{ connections['quay'].url + '/x' }}", "{{ connections.quay.url }}"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "records"))
    monkeypatch.delenv("OPSTRAND_CONNECTIONS", raising=False)
    (tmp_path / "f.yaml").write_text(FILE)
    (tmp_path / "catalog.yaml").write_text(json.dumps(CATALOG))
    return tmp_path


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_file_that_reads_a_connection_is_rendered_and_run_with_a_catalog(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given = ["--connections", "catalog.yaml"] if way == "option" else []
    if way == "variable":
        monkeypatch.setenv("OPSTRAND_CONNECTIONS", str(folder / "catalog.yaml"))
    rendered = cli("render", "-f", "f.yaml", "--stage", "plan", "-o", "yaml", *given)
    assert rendered.code == 0, rendered
    container = yaml.safe_load(rendered.stdout)["container"]
    assert container["args"] == ["quay.test/team/x", "quay.test/team"]
    ran = cli("run", "--local", "-f", "f.yaml", "-l", *given)
    assert ran.code == 0, ran
    assert b"quay.test/team/x quay.test/team\n" in ran.stdout


@pytest.mark.parametrize("command", [("render",), ("run", "--local")])
def test_without_one_the_command_says_that_it_has_none(cli: Cli, command: tuple[str, ...]) -> None:
    refused = cli(*command, "-f", "f.yaml")
    assert refused.code != 0
    assert "no catalog of connections is given here" in refused.stderr
    assert "--connections FILE" in refused.stderr
    assert "OPSTRAND_CONNECTIONS" in refused.stderr


def test_check_leaves_to_the_cluster_what_only_a_catalog_could_tell(cli: Cli) -> None:
    assert cli("check", "-f", "f.yaml").code == 0


def test_a_connection_that_the_catalog_lacks_is_named_with_the_nearest(
    cli: Cli, folder: Path
) -> None:
    (folder / "f.yaml").write_text(FILE.replace("quay", "quai"))
    refused = cli("run", "--local", "-f", "f.yaml", "--connections", "catalog.yaml")
    assert refused.code != 0
    assert "there is no connection 'quai' (did you mean 'quay'?" in refused.stderr
