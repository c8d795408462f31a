"""Every public name of the published client and its `tracking` exists in ours: it works, or it
raises one sentence that says what to do.
"""

import json
import subprocess
from typing import Any

import pytest

from opstrand.client import NotSupported, RunClient, tracking
from opstrand.client.missing import OF_CLIENT, OF_TRACKING
from tests.conformance_client.conftest import PUBLISHED

LIST = """
import inspect, json
from polyaxon import tracking
from polyaxon.client import RunClient

def public(owner):
    return sorted(name for name in dir(owner) if not name.startswith("_"))

functions = [name for name in public(tracking) if inspect.isfunction(getattr(tracking, name)) and not name.startswith("V1")]
print(json.dumps({"client": public(RunClient), "run": public(tracking.Run), "tracking": functions}))
"""


@pytest.fixture(scope="module")
def published_names() -> dict[str, list[str]]:
    listed = subprocess.run(
        [PUBLISHED / "bin" / "python", "-c", LIST],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    names: dict[str, list[str]] = json.loads(listed.stdout)
    assert len(names["client"]) > 80
    return names


def test_every_name_of_the_published_client_is_here(published_names: dict[str, list[str]]) -> None:
    assert sorted(set(published_names["client"]) - set(dir(RunClient(no_op=True)))) == []
    assert (
        sorted(set(published_names["run"]) - set(dir(tracking.Run(no_op=True, run_uuid="0")))) == []
    )
    assert [
        name for name in published_names["tracking"] if not callable(getattr(tracking, name, None))
    ] == []


def test_no_name_is_listed_as_missing_that_the_published_client_lacks(
    published_names: dict[str, list[str]],
) -> None:
    assert [name for name in OF_CLIENT if name not in published_names["client"]] == []
    assert [name for name in OF_TRACKING if name not in published_names["run"]] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [(RunClient, OF_CLIENT), (tracking.Run, {**OF_CLIENT, **OF_TRACKING})],
    ids=["client", "run"],
)
def test_what_is_not_offered_says_what_to_do(
    owner: type[RunClient], names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYAXON_NO_OP", "true")
    client: Any = owner()
    for name, instead in names.items():
        with pytest.raises(NotSupported, match=name) as caught:
            getattr(client, name)("x", anything=1)
        assert instead in str(caught.value)
        assert "\n" not in str(caught.value)


def test_module_functions_say_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYAXON_NO_OP", "true")
    module: Any = tracking
    monkeypatch.setattr(module, "TRACKING_RUN", None)
    with pytest.raises(NotSupported, match="get_connections_catalog"):
        module.get_connections_catalog()
    with pytest.raises(AttributeError):
        _ = module.log_imagine
