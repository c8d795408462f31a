"""What each key of a status means, for `kubectl explain operation.status`.

Owns the sentences that `status_schema` does not have beside the type of a key.
"""

from __future__ import annotations

from opstrand.spec.crd.schema import Schema

#: Path -> sentence; `[]` stands for the items of a list.
MEANINGS = {
    "observedGeneration": "The generation of the spec that this status is about.",
    "startedAt": "When the first attempt started to run.",
    "finishedAt": "When the run ended.",
    "resumedAt": "When it was last resumed: `timeout` counts from then on.",
    "resume": "The last `control.resume` that was acted on.",
    "round": "The last `control.round` that was acted on.",
    "attempt": "The number of the newest attempt, from 0.",
    "pod": "The Pod of the newest attempt.",
    "pod.name": "Its name.",
    "pod.uid": "Its uid, once it exists.",
    "pod.node": "The node that it runs on.",
    "service": "How a run of kind service is reached inside the cluster.",
    "service.name": "The name of its Service and Deployment.",
    "service.host": "The host name inside the cluster.",
    "service.ports": "The ports that it listens on.",
    "service.baseUrl": "The path under which a program may serve.",
    "service.pods": "The Pods that may report for the run.",
    "service.pods[].name": "The Pod's name.",
    "service.pods[].uid": "The Pod's uid.",
    "children.total": "How many runs there are in all.",
    "children.concurrency": "How many run at once, at most.",
    "children.summary": "How many have ended, of all.",
    "children.at": "When this was counted.",
    "children.states": "A letter for each run, in order.",
    "children.succeeded": "How many have succeeded.",
    "children.failed": "How many have failed.",
    "children.running": "How many run now.",
    "hooks.states": "A letter for each hook, in order.",
    "hooks.round": "How often the run was resumed: its hooks fire after each end.",
    "hooks.problems": "Why some of the hooks did not fire.",
    "hooks.problems[].hook": "The index of the hook.",
    "hooks.problems[].reason": "Why, as one stable word.",
    "hooks.problems[].message": "Why, as a sentence.",
    "cache.component": "A digest of the component.",
    "cache.parts": "A digest of each part of `run` that counts.",
    "cache.message": "Why the run was run and no result was taken, as a sentence.",
    "cache.run": "The earlier run that the sentence is about.",
    "original.uuid": "Its id.",
    "original.name": "Its name.",
    "original.kind": "How this run came from it: cache.",
    "schedule.written": "The schedule, with its templates replaced.",
    "schedule.generation": "The generation of the spec that it was read from.",
    "schedule.handled": "The times up to this one had a run, or were missed.",
    "schedule.next": "When the next run is due.",
    "schedule.runs": "How many runs it had.",
    "schedule.succeeded": "How many of them succeeded.",
    "schedule.failed": "How many of them failed.",
    "schedule.missed": "How many times had no run, because a later one was due already.",
    "schedule.gap": "Between `from` and `to` are the newest times that were missed.",
    "schedule.active": "The runs that have not ended.",
    "schedule.active[].at": "When the run was due.",
    "schedule.active[].name": "The run.",
    "schedule.results": "The last runs that have ended, the newest last.",
    "schedule.results[].at": "When the run was due.",
    "schedule.results[].name": "The run.",
    "schedule.results[].phase": "How it ended.",
    "schedule.results[].reason": "Why, as one stable word, if it did not succeed.",
    "schedule.results[].message": "Why, as a sentence.",
    "search.kind": "The kind of the matrix.",
    "search.seed": "What the params were drawn with, if the matrix has no seed of its own.",
    "search.metric": "The output that says how good a run is.",
    "search.minimize": "Whether a lower value is better.",
    "search.results": "One number for each run that ended well, with commas between: 0.25,,0.3.",
    "search.promotions": "Each promoted run, and the run that it continues: 9<3.",
    "best.name": "Its name.",
    "best.uuid": "Its id.",
    "best.value": "Its metric.",
    "children.failures": "The first runs that failed.",
    "children.failures[].op": "The operation that failed.",
    "children.failures[].reason": "Why, as one stable word.",
    "children.failures[].message": "Why, as a sentence.",
    "tags": "Tags of the run; the program may add to them.",
    "description": "A sentence about the run.",
    "name": "The name that the run's program gave it.",
    "progress": "How far the program says it is, from 0 to 1.",
    "artifacts": "Files and folders that the run made or used.",
    "artifacts[].name": "The artifact's name.",
    "artifacts[].kind": "What it is: file, dir, model, ...",
    "artifacts[].path": "Where it is.",
    "artifacts[].isInput": "Whether the run used it and did not make it.",
    "upstream": "The runs that this one took values from.",
    "upstream[].uuid": "The id of that run.",
    "upstream[].name": "The name of that run.",
    "upstream[].kind": "The kind of the link.",
    "upstream[].values": "Param: what it was taken from.",
    "upstream[].original": "The id of the run that has its files, if it took a result.",
    "history": "The phases that the run went through, the newest last.",
    "history[].status": "The phase, as the published command line spells it.",
    "history[].reason": "Why, as one stable word.",
    "history[].message": "Why, as a sentence.",
    "history[].at": "When it began.",
    "conditions": (
        "For `kubectl wait`: Accepted, RefsResolved, Running, Succeeded, Finished; and Ready and "
        "Stalled by the rules of kstatus."
    ),
    "conditions[].type": "The condition.",
    "conditions[].status": "Whether it holds: True, False or Unknown.",
    "conditions[].reason": "Why, as one stable word.",
    "conditions[].message": "Why, as a sentence.",
    "conditions[].lastTransitionTime": "When the status of the condition last changed.",
    "conditions[].observedGeneration": "The generation that it is about.",
    "archived": "What is kept of the run beyond its object.",
}


def describe(schema: Schema, path: str = "") -> Schema:
    """Return the schema with a description at each key that has none of its own."""
    changed = dict(schema)
    if path in MEANINGS:
        changed = {"description": MEANINGS[path], **changed}
    if "properties" in changed:
        changed["properties"] = {
            key: describe(inner, f"{path}.{key}".lstrip("."))
            for key, inner in changed["properties"].items()
        }
    if isinstance(changed.get("items"), dict):
        changed["items"] = describe(changed["items"], f"{path}[]")
    return changed
