"""The runs of a project as they change: a list, then a watch that keeps it up to date.

Owns that no change is lost when the watch ends. Must not print.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from opstrand.cli.cluster.follow import Patience
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Expired, Invalid, NotFound
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest


async def iter_lists(
    api: KubeApi, namespace: str | None, labels: str
) -> AsyncIterator[list[Manifest]]:
    """Yield all runs, and all again after each change; never ends.

    Raises ApiError for a list that is refused, or a cluster that does not answer for long.
    """
    patience = Patience()
    while True:
        try:
            listed, version = await api.list(OPERATIONS, namespace, labels=labels)
            patience.renew()
            known = {str(body["metadata"]["uid"]): body for body in listed}
            yield list(known.values())
            async for kind, body in api.watch(OPERATIONS, namespace, since=version, labels=labels):
                if kind == "BOOKMARK":
                    continue
                uid = str(body["metadata"]["uid"])
                known.pop(uid, None)
                if kind != "DELETED":
                    known[uid] = body
                yield list(known.values())
        except Expired:
            continue
        except (NotFound, Invalid):
            raise
        except ApiError as error:
            await patience.bear(error)
