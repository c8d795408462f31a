"""The store of a `MemoryCluster`: runs whose object is gone, and what is asked about them.

Owns what the API would answer to the operator. Must not decide what a question finds: `select`
does.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.controller.store_reader import Question, StoreReader
from opstrand.core.names import run_uuid
from opstrand.core.resolving.query import select
from opstrand.core.resolving.stored import StoredRun
from opstrand.core.resolving.upstream import read_upstream
from opstrand.settings import Settings
from opstrand.types import Manifest
from tests.support.memory_cluster import MemoryCluster

#: Each lets every task that waits for an answer go on once.
_TURNS = 20


class MemoryStore:
    """Answers the operator of a cluster from `bodies`, or by raising `error`."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.bodies: list[Manifest] = []
        self.error: Exception | None = None
        self.questions: list[Question] = []
        self._cluster = cluster
        self.forget_answers()

    def forget_answers(self) -> None:
        """Let the operator keep no answer, as half a minute later."""
        self._cluster.world.store = StoreReader(self, self._cluster.wake)

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        self.questions.append(question)
        if self.error is not None:
            raise self.error
        runs = [read_upstream(one, Settings()) for one in self.bodies]
        if isinstance(question, StoredRun):
            found = [run for run in runs if run.uuid == question.uuid]
        else:
            found = select(question.query, question.sort, question.most, 0, runs)
        by_uuid = {run_uuid(one["metadata"]["uid"]): one for one in self.bodies}
        return [zlib.compress(json.dumps(by_uuid[run.uuid]).encode()) for run in found]

    async def make(
        self, name: str, spec: Mapping[str, Any], *, is_gone: bool = True, **outputs: Any
    ) -> str:
        """Make a run that succeeded with these outputs; the store has it. Returns its uuid."""
        await self._cluster.create(name, dict(spec))
        await self.settle()
        await self._cluster.run_pod(name, **outputs)
        await self._cluster.end_pod(name)
        await self._cluster.settle()
        self.bodies.append(self._cluster.get(name))
        if is_gone:
            await self._cluster.delete(name)
            await self._cluster.collect_garbage()
            await self._cluster.settle()
        self.forget_answers()
        return run_uuid(self.bodies[-1]["metadata"]["uid"])

    async def settle(self) -> None:
        """Let questions be answered, and the runs that wait for that go on."""
        for _ in range(_TURNS):
            await self._cluster.settle()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await self._cluster.settle()
