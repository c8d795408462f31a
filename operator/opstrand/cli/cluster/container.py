"""A command in a container of a run, and why it cannot be run there.

Owns the sentences about a Pod that ended, a container that is not there or not running, and a
program that the image lacks. Must not know what the command is for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from opstrand.cli.cluster.connection import Cluster
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target
from opstrand.core.diagnosis.pod_status import all_containers_of
from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.errors import ApiError, NotFound
from opstrand.kube.exec import Size, execute
from opstrand.kube.resources import PODS
from opstrand.runs.members import is_pipeline
from opstrand.text import suggest
from opstrand.types import Pod

#: What a container runtime answers for a program that the image does not have.
_NO_PROGRAM = re.compile(
    r'exec: \\?"(?P<program>[^"\\]+)\\?": (?:stat .*: no such|executable file not)'
)


@dataclass(frozen=True)
class RunContainer:
    """A container of a run's Pod; `look` is the line that shows the run."""

    cluster: Cluster
    run: str
    uuid: str
    pod: str
    name: str
    look: str

    async def execute(
        self,
        words: Sequence[str],
        *,
        stdin: AsyncIterator[bytes] | None = None,
        sizes: AsyncIterator[Size] | None = None,
        on_output: Callable[[bytes], object],
        on_error: Callable[[bytes], object],
    ) -> int:
        """Run the command and return its exit code. Raises CliError if it cannot be started."""
        try:
            return await execute(
                self.cluster.api,
                self.cluster.project,
                self.pod,
                words,
                container=self.name,
                stdin=stdin,
                sizes=sizes,
                on_output=on_output,
                on_error=on_error,
            )
        except ApiError as error:
            raise await self._explain(error) from None

    async def _explain(self, error: ApiError) -> Exception:
        """Return why it was not started, as far as the Pod says it; else the error itself."""
        if found := _NO_PROGRAM.search(error.message):
            return CliError(
                f"the image of {self.run} has no program {found['program']!r}",
                code=ExitCode.NOT_FOUND,
            )
        try:
            pod = await self.cluster.api.get(PODS, self.cluster.project, self.pod)
        except NotFound:
            return CliError(f"the Pod of {self.run} is gone: {self.pod}", code=ExitCode.STOPPED)
        except ApiError:
            return error
        return self._describe(cast(Pod, pod)) or error

    def _describe(self, pod: Pod) -> CliError | None:
        """Return why no command can run in the container; None if it runs."""
        spec = pod["spec"]
        known = [one["name"] for one in (*spec["containers"], *spec.get("initContainers", ()))]
        if self.name not in known:
            return CliError(
                f"--container {self.name!r}: the Pod of {self.run} has no such container"
                f"{suggest(self.name, known)}",
                code=ExitCode.NOT_FOUND,
            )
        statuses = {one["name"]: one for one in all_containers_of(pod)}
        state: Mapping[str, Any] = statuses.get(self.name, {}).get("state") or {}
        if "running" in state:
            return None
        if ended := state.get("terminated"):
            return CliError(
                f"container {self.name} of {self.run} has ended "
                f"({ended.get('reason')}, exit code {ended.get('exitCode')})",
                code=ExitCode.STOPPED,
            )
        reason = (state.get("waiting") or {}).get("reason") or "its Pod is not on a node yet"
        return CliError(
            f"container {self.name} of {self.run} has not started ({reason})",
            hint=f"{self.look} says what it waits for.",
            code=ExitCode.NOT_FOUND,
        )


async def find_container(
    cluster: Cluster, target: Target, run: str, container: str
) -> RunContainer:
    """Find the run and its container. Raises CliError if it has no Pod, or has ended."""
    async with cluster.waiting():
        body = await cluster.find(run)
    name, status = body["metadata"]["name"], read_status(body)
    phase, pod = parse_phase(status), str((status.get("pod") or {}).get("name") or "")
    look = target.command("get", name, project=cluster.project)
    if phase.is_final:
        again = target.command("restart", name, project=cluster.project)
        raise CliError(
            f"{name} has ended ({phase.value}), and its containers with it",
            hint=f"{again} makes a new run of it.",
            code=ExitCode.STOPPED,
        )
    if is_pipeline(body):
        made = target.command("ls", "--pipeline", name, project=cluster.project)
        raise CliError(
            f"{name} is a pipeline, and has no container",
            hint=f"Name one of its runs, such as {name}/OPERATION: {made}",
            code=ExitCode.NOT_FOUND,
        )
    if not pod:
        raise CliError(
            f"{name} has no Pod yet ({phase.value})",
            hint=f"{look} says what it waits for.",
            code=ExitCode.NOT_FOUND,
        )
    return RunContainer(cluster, name, run_uuid(body["metadata"]["uid"]), pod, container, look)
