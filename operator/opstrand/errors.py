"""The errors of opstrand, and who has to act on each of them.

Owns the stable CamelCase reasons and the two families of errors: `SpecError` (the user's file,
values or upstreams are wrong: the run ends) and `PlatformError` (the cluster failed: the work is
retried). The refusals of the API are defined in `api/failures` and leave it as HTTP. Any other
exception is a bug of ours. Must import nothing of ours.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

#: Every reason that a person, a script or an alert may see, with what to do about it. Never rename
#: a key. A command line ends with RUN, which `advise` replaces.
REASONS: dict[str, str] = {
    # what was written
    "InvalidYAML": "Fix the YAML at the line shown.",
    "InvalidSpec": (
        "Fix the field at the path shown; `opstrand explain FIELD` says what it accepts."
    ),
    "UnknownField": "Remove the key, or use the nearest valid one.",
    "OldFormat": (
        "This is a Polyaxon 0.x file, which is not run: write it as a component (kind: component, "
        "inputs, run: {kind: job, container: {image, command}}), and what varies as an operation "
        "over it; `opstrand explain run` shows the keys."
    ),
    "ForeignFormat": (
        "Write it as a component (kind: component, run: {kind: job, container: {image, command}}); "
        "`opstrand explain run` shows the keys."
    ),
    "NotSupported": (
        "This part of the format is not run by this version; see docs/reference/what-works.md."
    ),
    "Placeholder": "Replace the word by what it stands for.",
    "NotAnOperation": (
        "Write the component under `component:` of an operation, or run it with `opstrand run -f`."
    ),
    "InvalidName": "Use lower-case letters, digits and dashes, at most 52 characters.",
    "TooLarge": "Make it smaller, or put the data into artifacts and pass their path.",
    "TooDeep": "Put the operations of the innermost pipelines into one that is above them.",
    "TooExpensive": (
        "Use smaller values, fewer or simpler templates, or compute it in the program; the message "
        "names the limit."
    ),
    "SetAside": (
        "Make it smaller or simpler and create it again; the operator's log and memory limit say "
        "more."
    ),
    "OutputsTooLarge": (
        "Log less, or write the data to a file and log its path; what was refused is not among the "
        "outputs."
    ),
    "InputsTooLarge": (
        "Log less, or write the data to a file and log its path; what was refused is not among the "
        "inputs."
    ),
    "ArtifactsTooLarge": (
        "Report fewer artifacts; what was refused is not among the run's artifacts."
    ),
    "MetaTooLarge": "Report less; what was refused is not in the run's meta.",
    "TagsTooLarge": "Use fewer or shorter tags; what was refused is not among the run's tags.",
    "DescriptionTooLarge": "Shorten it; the run keeps the description that it had.",
    "NameTooLarge": "Shorten it; the run keeps the name that it had.",
    # values
    "ParamRequired": "Give the param a value, or give the input a default.",
    "ParamInvalid": "Give a value of the declared type.",
    "ParamValidation": "Give a value that the input's validation accepts.",
    "ParamUndeclared": "Declare an input or output of that name, or set `contextOnly: true`.",
    "TemplateError": (
        "Fix the expression; the message names what can be used. Braces that are text, as for "
        "another program, stand between {% raw %} and {% endraw %}."
    ),
    "ConditionFalse": "Nothing to do: the operation's conditions say that it should not run.",
    "ConditionInvalid": "Write a condition that gives a boolean.",
    # refs
    "RefInvalid": "Use `runs.UUID`, `ops.NAME` or `dag`, and one of the documented value forms.",
    "UpstreamNotFound": (
        "Create the upstream, or fix its name; the run waits a bounded time for it."
    ),
    "UpstreamPending": "Nothing to do: it starts when the upstream has what it asks for.",
    "StoreUnavailable": (
        "Nothing to do while the API is away for a moment: it goes on when the API answers; its "
        "own log says what is wrong with it."
    ),
    "UpstreamFailed": "Fix the upstream and run it again, then this one.",
    "UpstreamSkipped": "Run the upstream, or do not depend on it.",
    "UpstreamDeleted": "Run the upstream again; it is being deleted.",
    "MissingValue": "Ask for one of the values that the message lists.",
    "RefToItself": "Point the ref at another run.",
    "ComponentNotFound": "Apply the Component, or fix `hubRef`.",
    # the Pod and the cluster
    "NameConflict": "Delete or rename the foreign object of that name.",
    "PodRefused": "Fix the part of the spec that the API server names.",
    "QuotaExceeded": "Free quota or ask for more; it starts by itself then.",
    "ServiceAccountNotFound": "Create the service account, or fix its name.",
    "NamespaceTerminating": "Run it in another namespace.",
    "ProcessLost": "Run it again; where its program may still run, end that by hand.",
    "PodLost": "The Pod vanished before its result was seen; run it again.",
    "ClusterUnreachable": (
        "Fix the credentials or the address that the message names; `opstrand doctor` looks at "
        "both."
    ),
    "CatalogNotGiven": (
        "Give the catalog of connections: `--connections FILE`, or the variable "
        "OPSTRAND_CONNECTIONS."
    ),
    "PlatformError": "The cluster answered with an error; it is tried again.",
    "InternalError": "This is a bug of opstrand; the operator's log has the details.",
    # how it ended or what it waits for
    "Succeeded": "",
    "Collecting": "Nothing to do while files are stored; the next step follows by itself.",
    "ArtifactsNotCollected": (
        "Fix what the message says about the files (a name, a right, the API, its volume) and run "
        "it again; `collectArtifacts: false` under `plugins` keeps no files."
    ),
    "ContainerFailed": "Read the last log lines in the message, or `opstrand logs RUN`.",
    "InitRunning": (
        "Nothing to do while it works; `opstrand logs RUN -c STEP` shows what it prints."
    ),
    "InitFailed": "Read the init step's own words in the message.",
    "OOMKilled": "Ask for more memory or use less.",
    "ImagePullFailed": "Fix the image's name, or give the namespace a pull secret.",
    "Unschedulable": (
        "Ask for less, give the cluster more, or fix what the message names: a selector, a taint, "
        "a claim that is not bound."
    ),
    "SchedulingGated": (
        "Nothing to do: it starts when what holds it back, a queue such as Kueue, releases it."
    ),
    "ContainerConfigError": (
        "Create the Secret, ConfigMap or key that the message names, or fix the container."
    ),
    "VolumeNotMounted": (
        "Create the Secret, ConfigMap or claim that the message names, or fix the volume."
    ),
    "Evicted": (
        "Nothing to do while it is tried again; where it went beyond its own limits, ask for what "
        "it really uses."
    ),
    "Preempted": (
        "Nothing to do while it is tried again; a higher priority class keeps it from that."
    ),
    "DeploymentLost": "Its Deployment was deleted from outside; to end a service, stop the run.",
    "NotReady": (
        "It starts again by itself; where it does not, look at its log and its readiness probe."
    ),
    "ProbeFailed": (
        "Fix `termination.probe.http`: until it answers, the service is not ended for being idle."
    ),
    "Culled": (
        "It was idle for as long as `termination.culling` allows; run it again when it is needed."
    ),
    "NodeLost": (
        "Nothing to do while it is tried again; where its node never comes back, delete the Node "
        "object."
    ),
    "NodeNotReady": (
        "Look at the node; where it never comes back, delete the Node object: the run is tried "
        "again then."
    ),
    "NodeRefused": (
        "Nothing to do while it is tried again; where the run names its node, ask for less or name "
        "another."
    ),
    "PodDeleted": (
        "The Pod was deleted from outside; run it again where it is not tried again by itself."
    ),
    "DeadlineExceeded": "Raise `termination.timeout`, or do less.",
    "ChildFailed": "Fix the operations that the message names; `opstrand get RUN` shows them all.",
    "ChildRefused": "Fix the part of the operation that the message names.",
    "PipelineGone": "Its pipeline is gone or has ended; run the pipeline again.",
    "Stopped": "It was stopped on request.",
    "Skipped": "It was skipped on request.",
    "Restored": "It came from a backup without its status; create a new operation to run it again.",
    "AwaitingApproval": "Approve it: `opstrand approve RUN`, or set `isApproved: true`.",
    "CacheHit": (
        "Nothing to do: it took an earlier run's result; `cache: {disable: true}` makes it run."
    ),
    "CachePending": "Nothing to do: it takes the result of that run, or runs itself if it fails.",
    "PodCreated": "",
    "PodRunning": "",
    "PipelineRunning": "",
    "MatrixRunning": "",
    "ScheduleRunning": "",
    "ScheduleFinished": "",
    "Suspended": "Let it start runs again: `opstrand resume RUN`.",
    "ChildDeleted": "It was deleted before its end; nothing to do where that was meant.",
    "MetricReached": "Nothing to do: a run's metric is good enough, so the others were stopped.",
    "TooManyFailed": "Fix what failed, or allow more failures in `earlyStopping`.",
    "MetricMissing": (
        "Report the metric as an output of that name, or fix the name that the message gives."
    ),
    "ServicesLeft": "",
    "Stopping": "",
    "Resuming": "",
    "OrderStands": "Remove `control.stop` and `control.skip` in the patch that resumes.",
    "NotResumable": "Start a new run of the same operation: `opstrand restart RUN`.",
}


#: The same where no cluster is asked and no operator runs: `--local`.
_WITHOUT_CLUSTER = {
    "SetAside": "Make it smaller or simpler and create it again.",
    "ComponentNotFound": (
        "Write the component under `component:` of the operation, or give its file by "
        "`--component FILE`: --local has no hub."
    ),
    "PodRefused": "Fix the part of the spec that the message names.",
    "Unschedulable": "Ask for less, or fix what the message names.",
    "ClusterUnreachable": "Fix the credentials or the address that the message names.",
    "PlatformError": "It is tried again.",
    "InternalError": "This is a bug of opstrand; OPSTRAND_TRACEBACK=1 shows where it happened.",
}
#: The same where the message has no path of a field.
_WITHOUT_PATH: Mapping[str, str] = {
    "InvalidSpec": (
        "Fix what the message names; `opstrand explain FIELD` says what a field accepts."
    ),
}
#: Stands for the init step in a command.
_STEP = " -c STEP"
_COMMAND = re.compile(r"`(opstrand \S+) RUN\b([^`]*)`")


@dataclass(frozen=True)
class Known:
    """What is known where advice is given.

    `run` is the run's name, `flags` the options that lead to it; both empty if no run is there.
    `step` is the init step that the advice is about.
    """

    run: str = ""
    flags: str = ""
    step: str = ""
    is_local: bool = False
    has_path: bool = True


def advise(reason: str, known: Known) -> str:
    """Return what to do about a reason, in terms of what is known; empty if there is nothing."""
    text = REASONS.get(reason, "")
    if not known.has_path:
        text = _WITHOUT_PATH.get(reason, text)
    if known.is_local:
        text = _WITHOUT_CLUSTER.get(reason, text)
    if not known.run:
        return text
    text = text.replace(_STEP, f" -c {shlex.quote(known.step)}" if known.step else "")
    flags = f" {known.flags}" if known.flags else ""
    return _COMMAND.sub(lambda found: f"`{found[1]} {known.run}{found[2]}{flags}`", text)


#: The most problems that are reported for one file: a longer list does not help the user, and the
#: search for similar names takes time.
MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what the user wrote.

    `path` is the dotted path in the document ("component.run.container.image"). `line` and `column`
    count from 1 and are known only for text. `message` says what was found and what was expected,
    in one sentence, without the path. `suggestion` is YAML that may be written instead.
    """

    reason: str
    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    source: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.path, self.message) if part)


class SpecError(Exception):
    """What the user wrote, gave or referred to cannot run.

    Ends the run as Failed within one reconcile; never retried. Carries every problem found (at
    least one); `reason` is that of the first.
    """

    def __init__(
        self, reason: str, message: str, path: str = "", *, others: Sequence[Problem] = ()
    ) -> None:
        self.problems: tuple[Problem, ...] = (Problem(reason, message, path), *others)
        super().__init__(str(self))

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> SpecError:
        """The error that carries these problems, in their order. `problems` must not be empty."""
        error = cls(problems[0].reason, problems[0].message)
        error.problems = tuple(problems)
        error.args = (str(error),)
        return error

    def within(self, prefix: str) -> SpecError:
        """The same error for an enclosing document: `prefix` is put before every path."""
        return SpecError.of(
            [replace(p, path=f"{prefix}.{p.path}" if p.path else prefix) for p in self.problems]
        )

    @property
    def reason(self) -> str:
        return self.problems[0].reason

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Each YAML that may be written instead, once."""
        return tuple(dict.fromkeys(one.suggestion for one in self.problems if one.suggestion))

    @property
    def message(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class PlatformError(Exception):
    """The cluster, the network or a store failed.

    Retried with backoff (after `retry_after` seconds where given); never the user's fault.
    `advice`: what to do, where it is known better than by the class.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "PlatformError",
        retry_after: float | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.advice = advice
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
