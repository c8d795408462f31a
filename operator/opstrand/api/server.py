"""The API's process in a cluster: what it starts, in which order, and how it ends.

Owns the session, the port, the signals and the log format. Must not answer requests.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from opstrand.api import content_job, contents, members_job, stored, submission, validation
from opstrand.api.aggregated import open_port
from opstrand.api.app import create_app
from opstrand.api.auth.expired_tokens import ExpiredTokens
from opstrand.api.auth.keys import ClusterKeys
from opstrand.api.auth.tokens import ClusterAuth
from opstrand.api.catalog_bucket import CatalogBucket
from opstrand.api.connections import ConnectionLimits, Runner
from opstrand.api.limits import Limits
from opstrand.api.pages import routes as pages
from opstrand.api.published.files import KeptFiles
from opstrand.api.tls import open_tls
from opstrand.api.v1 import discovery
from opstrand.artifacts.receiving import forget_stale
from opstrand.controller.connections_file import CatalogReader
from opstrand.errors import PlatformError, SpecError
from opstrand.kube.client import KubeApi
from opstrand.kube.session import Session, open_session
from opstrand.logs import configure_logging
from opstrand.runs import retention
from opstrand.runs.archive import Archive
from opstrand.runs.archiver import Archiver
from opstrand.runs.authorship import Impersonation
from opstrand.runs.forgetting import Forgetting, RecordLimits
from opstrand.runs.keeper import KeptRuns
from opstrand.runs.kept_logs import KeptLogs
from opstrand.runs.live import ClusterRuns
from opstrand.runs.log_keeper import MOST_ENDED, LogKeeper
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.retention import Retention
from opstrand.settings import Settings
from opstrand.store.opening import open_store
from opstrand.workers.pool import open_pool

logger = logging.getLogger(__name__)

#: Maximum concurrent requests to the API server. Reviews, followed logs and everything else have
#: separate connections, so that a report is stored at once however many tokens are sent or logs are
#: followed.
_REVIEWS = 32
_CONNECTIONS = 64
_LOGS = 600
#: Threads, where files are kept: each request that waits for a disk or a bucket does so in one.
_THREADS = 64
#: Connections that wait to be accepted: a burst of them must not shut out regular clients.
_BACKLOG = 1024
#: Seconds. After the signal, new requests are served until the Service has removed this Pod; then
#: held requests are cut off.
_LINGER = 3.0
_CUT_OFF = 2.0
#: Seconds between two looks for files that did not arrive whole.
_DAY = 24 * 3600.0


async def serve(settings: Settings, *, host: str = "0.0.0.0", linger: float = _LINGER) -> None:
    """Serve until SIGTERM or SIGINT. Raises PlatformError if no credentials are found."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.data:
        # Before the first of them is used. The catalog may get a bucket at any time.
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files")
        asyncio.get_running_loop().set_default_executor(threads)
    async with AsyncExitStack() as standing:
        session = await standing.enter_async_context(await open_session(connections=_CONNECTIONS))
        tls = await open_tls(settings, KubeApi(session))
        reviews = await standing.enter_async_context(session.open_pool(_REVIEWS))
        logs = await standing.enter_async_context(session.open_pool(_LOGS))
        pool = open_pool(
            settings,
            modules=(validation.MODULE, content_job.MODULE, members_job.MODULE),
            most_waiting=validation.MOST_WAITING,
        )
        standing.callback(pool.close)
        live = ClusterRuns(
            KubeApi(session), logs=KubeApi(logs), impersonation=Impersonation(KubeApi(reviews))
        )
        catalog = CatalogReader(settings.connections)
        catalog.start()
        bucket = CatalogBucket(catalog.read)
        if settings.data:
            checking = asyncio.create_task(bucket.prepare(), name="bucket")
            standing.callback(checking.cancel)
            forgetting = asyncio.create_task(
                keep_forgetting(Path(settings.data)), name="incoming files"
            )
            standing.callback(forgetting.cancel)
        files = _open_files(settings, KubeApi(session), bucket)
        runs = await open_runs(settings, live, KubeApi(session), standing, files)
        await _keep_logs(settings, live, session, standing)
        auth = _build_auth(KubeApi(reviews), settings)
        watching = asyncio.create_task(runs.keep_watching(), name="watch")
        reading = (
            asyncio.create_task(tls.certificate.keep_reading(tls.interval), name="certificate")
            if tls
            else None
        )
        app = create_app(
            runs,
            auth,
            owner=settings.owner,
            validation=validation.Validation(pool),
            contents=contents.Contents(pool),
            read_catalog=catalog.read,
            files=files,
            limits=request_limits(settings),
            is_proven=auth.is_proven,
            resources=[*discovery.ROUTES, *pages.ROUTES, *_list_routes(runs)],
        )
        read_context = (lambda: tls.certificate.context) if tls else None
        limits = connection_limits(settings)
        runner = Runner(app, limits=limits, shutdown_timeout=_CUT_OFF, tls=read_context)
        await standing.enter_async_context(
            open_port(app, KubeApi(reviews), settings, host=host, limits=limits, cut_off=_CUT_OFF)
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, host, settings.api_listen_port, backlog=_BACKLOG).start()
            logger.info("started", extra={"port": settings.api_listen_port, "tls": tls is not None})
            await _wait_for_end(stop, watching)
            await asyncio.sleep(linger)
        finally:
            await runner.cleanup()
            if reading is not None:
                reading.cancel()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def _list_routes(runs: ClusterRuns | KeptRuns) -> Sequence[web.RouteDef]:
    """What the operator asks of a store, if there is one."""
    return stored.make_routes(runs) if isinstance(runs, KeptRuns) else ()


def _open_files(settings: Settings, cluster: KubeApi, bucket: CatalogBucket) -> KeptFiles | None:
    if not settings.data:
        return None
    return KeptFiles(Path(settings.data), Namespaces(cluster).uid, bucket.files_of)


async def keep_forgetting(base: Path, interval: float = _DAY) -> None:
    """Forget what no client sends the rest of: now and every day, for ever."""
    while True:
        try:
            await asyncio.to_thread(forget_stale, base, time.time())
        except OSError as error:
            logger.warning("files that did not arrive whole are deleted later: %s", error)
        await asyncio.sleep(interval)


async def _keep_logs(
    settings: Settings, live: ClusterRuns, session: Session, standing: AsyncExitStack
) -> None:
    """Keep the logs of runs where there is a folder for them; `standing` ends it."""
    if not settings.data or not settings.log_streams:
        logger.warning(
            "no OPSTRAND_DATA: the log of a run is gone with its Pod"
            if not settings.data
            else "OPSTRAND_LOG_STREAMS is 0: the log of a run is gone with its Pod"
        )
        return
    pool = await standing.enter_async_context(session.open_pool(settings.log_streams + MOST_ENDED))
    kept = KeptLogs(Path(settings.data), Namespaces(KubeApi(session)).uid_of)
    keeper = LogKeeper(kept, KubeApi(pool), streams=settings.log_streams)
    live.keep_logs(keeper)
    task = asyncio.create_task(keeper.run(), name="logs")
    standing.callback(task.cancel)


async def open_runs(
    settings: Settings,
    live: ClusterRuns,
    cluster: KubeApi,
    standing: AsyncExitStack,
    files: KeptFiles | None = None,
) -> ClusterRuns | KeptRuns:
    """The runs of the cluster, with those of the store if one is set; `standing` closes it. What is
    removed from the store goes with its `files`.

    Raises SpecError and PlatformError if the store cannot be used.
    """
    if not settings.store_url:
        logger.warning("no OPSTRAND_STORE_URL: runs are forgotten when their Operation is deleted")
        return live
    store = await open_store(settings.store_url)
    standing.push_async_callback(store.close)
    namespaces = Namespaces(cluster)
    limits = record_limits(settings)
    forgetting = Forgetting(limits, store, files.delete) if files else Forgetting(limits, store)
    return KeptRuns(
        live,
        Archive(store, namespaces),
        Archiver(store, namespaces, cluster, forgetting),
        Retention(retention_limits(settings), live, store, cluster),
        forgetting,
    )


def record_limits(settings: Settings) -> RecordLimits:
    return RecordLimits(
        seconds=settings.keep_seconds,
        per_namespace=settings.keep_per_namespace,
        in_total=settings.keep_in_total,
    )


def retention_limits(settings: Settings) -> retention.Limits:
    return retention.Limits(
        seconds=settings.retain_seconds,
        per_namespace=settings.retain_per_namespace,
        in_total=settings.retain_in_total,
        is_applied_kept=bool(settings.retain_applied),
    )


async def _wait_for_end(stop: asyncio.Event, watching: asyncio.Task[None]) -> None:
    """Wait for a signal. If the watch ends (a bug), the process ends too and is restarted."""
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if watching in done:
        watching.result()


def request_limits(settings: Settings) -> Limits:
    return Limits(
        held_per_run=settings.api_followers_per_run,
        held_per_caller=settings.api_followers_per_caller,
        body_seconds=settings.api_body_seconds,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(head_seconds=settings.api_head_seconds)


def _build_auth(reviews: KubeApi, settings: Settings) -> ClusterAuth:
    async def read_keys() -> Mapping[str, Any]:
        text, _ = await reviews.probe("/openid/v1/jwks")
        keys: Mapping[str, Any] = json.loads(text)
        return keys

    keys = ClusterKeys(read_keys)
    expired = ExpiredTokens(
        reviews, keys, audience=settings.audience, longest_past=settings.expired_token_seconds
    )
    any_audience = not settings.people_audience
    return ClusterAuth(
        reviews, audience=settings.audience, keys=keys, expired=expired, any_audience=any_audience
    )


def main() -> int:
    """Run the API as the environment configures it; returns the exit code of the process."""
    configure_logging()
    # Before the first request: it takes a tenth of a second of CPU time.
    submission.warm_up()
    content_job.warm_up()
    try:
        asyncio.run(serve(Settings.from_environment()))
    except (PlatformError, SpecError, OSError) as error:
        logger.error("%s", error)
        return 5
    return 0
