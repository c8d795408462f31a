"""With which settings the operator and the API refuse to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
}


@pytest.mark.parametrize("process", ["handlers", "api"])
def test_a_catalog_that_is_wrong_at_the_start_stops_the_process(
    process: str, tmp_path: Path
) -> None:
    catalog, kubeconfig = tmp_path / "connections.yaml", tmp_path / "kubeconfig"
    catalog.write_text("connections:\n- name: disk\n  kind: volume_clam\n")
    kubeconfig.write_text(json.dumps(KUBECONFIG))
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "OPSTRAND_CONNECTIONS": str(catalog),
    }
    command = [sys.executable, "-m", f"opstrand.{process}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 5, done.stderr
    assert "did you mean 'volume_claim'?" in done.stderr
    assert "connections.yaml:3" in done.stderr
    assert "Traceback" not in done.stderr
