"""`$(VAR)` on a laptop, by the table that a real kubelet is tested with."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from tests.support import expansion_vectors as vectors

from .conftest import Run


def test_a_laptop_expands_as_a_kubelet_does(here: Run, tmp_path: Path) -> None:
    (tmp_path / "expansion.yaml").write_text(yaml.safe_dump(vectors.component(), allow_unicode=True))
    ran = here("run", "--local", "-f", "expansion.yaml", "-l")
    assert ran.code == 0, ran
    assert json.loads(ran.stdout) == vectors.expected()
