"""A run that decides about many others rests after it; no other run does."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support.builders import JOB
from tests.support.memory_cluster import NAMESPACE, MemoryCluster

from opstrand.controller.reconcile import Outcome, reconcile

#: So many that deciding about them takes longer than what needs no rest, on any machine.
MANY = 2000


async def test_a_large_pipeline_rests_and_what_it_runs_does_not() -> None:
    with MemoryCluster() as cluster:
        operations = [{"name": f"op-{number}", **JOB} for number in range(MANY)]
        run = {"kind": "dag", "operations": operations, "concurrency": 1}
        await cluster.create("large", {"component": {"run": run}})
        await cluster.settle()
        assert 0.02 <= (await look(cluster, "large")).rest <= 1
        assert (await look(cluster, cluster.find_child("large", "op-0"))).rest == 0
        await cluster.create("alone", JOB)
        assert (await look(cluster, "alone")).rest == 0


async def look(cluster: MemoryCluster, name: str) -> Outcome:
    return await reconcile((NAMESPACE, name), world=cluster.world, clock=lambda: datetime.now(UTC))
