"""How long a run's token lives: a setting, and never less than the run."""

from __future__ import annotations

import pytest
from tests.support.builders import ME, operation, values

from opstrand.core.planning.plan import compile_plan
from opstrand.core.pods.pod import render_pod
from opstrand.errors import SpecError
from opstrand.settings import Settings

OWNER = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "name": "eval", "uid": "1"}
DAY = 24 * 3600


@pytest.mark.parametrize(
    ("setting", "deadline", "life"),
    [
        (None, None, 30 * DAY),
        (None, DAY, 30 * DAY),
        (None, 40 * DAY, 40 * DAY + 3600),
        (600, None, 600),
        (600, 60, 3660),
    ],
)
def test_it_outlives_the_timeout(setting: int | None, deadline: int | None, life: int) -> None:
    settings = (
        Settings()
        if setting is None
        else Settings.from_environment({"OPSTRAND_TOKEN_SECONDS": str(setting)})
    )
    compiled = operation()
    plan = compile_plan(compiled, values(compiled), ME)
    pod = render_pod(plan, owner=OWNER, pod_name="eval-0", settings=settings, deadline=deadline).pod
    (source,) = next(
        volume for volume in pod["spec"]["volumes"] if volume["name"] == "opstrand-token"
    )["projected"]["sources"]
    assert source["serviceAccountToken"]["expirationSeconds"] == life


def test_a_setting_that_no_cluster_takes_is_refused_at_the_start() -> None:
    with pytest.raises(SpecError, match="OPSTRAND_TOKEN_SECONDS"):
        Settings.from_environment({"OPSTRAND_TOKEN_SECONDS": "300"})
