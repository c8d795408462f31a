"""The process of the operator: what it starts, in which order, and how it configures kopf.

The order matters: nothing is reconciled before a full list of Operations, Components and Pods has
been read; otherwise a run could be started twice.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any, cast

from aiohttp import web

from opstrand.controller import decision_job
from opstrand.controller.cache import Cache
from opstrand.controller.clock_watch import watch_clock
from opstrand.controller.connections_file import CatalogReader
from opstrand.controller.crash_record import CrashRecord
from opstrand.controller.gather import World
from opstrand.controller.queue import Queue
from opstrand.controller.reconcile import Outcome, reconcile
from opstrand.controller.stopwatch import Stopwatch
from opstrand.controller.store_client import StoreClient
from opstrand.controller.store_reader import StoreReader
from opstrand.controller.sync import Sync
from opstrand.core import names
from opstrand.errors import PlatformError, SpecError
from opstrand.handlers.kopf_import import kopf
from opstrand.handlers.kopf_session import Loan
from opstrand.handlers.kopf_storage import NoDiffBase, NoProgress
from opstrand.handlers.registry import register
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.kube.session import Session, open_session
from opstrand.logs import configure_logging
from opstrand.settings import Settings
from opstrand.types import Key
from opstrand.workers.pool import Pool, open_pool

logger = logging.getLogger(__name__)

#: Seconds to wait after a 401 before kopf gets a session again: a token is being renewed, or an
#: authenticator restarts.
_LOGIN_PAUSE = 1.0
#: Seconds that kopf, and then the health server, have to end: the whole operator ends within 2 s of
#: SIGTERM.
_KOPF_END = 1.0
_HEALTH_END = 0.2
#: Seconds between two requests to the health server, and for the whole head of one, however its
#: bytes come.
_HEALTH_IDLE = 15.0
#: Seconds between two checks of the files that settings are read from.
_SETTINGS_AGAIN = 20.0
#: New objects between two garbage collections; one reconcile makes a few thousand.
_YOUNG = 20_000


def utc_now() -> datetime:
    return datetime.now(UTC)


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until the settings change: the Deployment then starts it
    again with the new ones.

    Raises PlatformError if the cluster cannot be reached at the start.
    """
    stop = asyncio.Event()
    _handle_signals(stop)
    looking = asyncio.create_task(
        stop_at_other_settings(settings, stop, _SETTINGS_AGAIN), name="settings"
    )
    # A watch holds a connection: three for each namespace, or three for all namespaces.
    watches = 3 * max(len(settings.watched_namespaces), 1)
    async with await open_session(connections=settings.concurrency + watches + 8) as session:
        pool = open_pool(settings, modules=(decision_job.MODULE,))
        try:
            await _run(session, pool, settings, stop)
        finally:
            looking.cancel()
            pool.close()


async def stop_at_other_settings(settings: Settings, stop: asyncio.Event, interval: float) -> None:
    """Set `stop` when the settings change: the file with the CA that runs trust may change."""
    while not stop.is_set():
        await asyncio.sleep(interval)
        try:
            if Settings.from_environment() != settings:
                logger.info("the settings changed: stopping, to be started with the new ones")
                stop.set()
        except SpecError as error:
            logger.warning("%s; what was read at the start stays", error)


async def _run(session: Session, pool: Pool, settings: Settings, stop: asyncio.Event) -> None:
    async with AsyncExitStack() as standing:
        store = await _open_store(settings, standing)
        await _operate(session, pool, settings, stop, store)


async def _open_store(settings: Settings, standing: AsyncExitStack) -> StoreReader | None:
    """Return what answers for runs that are gone; `standing` closes it."""
    if not settings.api_token:
        return None
    store = StoreReader(await standing.enter_async_context(StoreClient(settings)))
    standing.push_async_callback(store.stop)
    return store


async def _operate(
    session: Session,
    pool: Pool,
    settings: Settings,
    stop: asyncio.Event,
    store: StoreReader | None,
) -> None:
    catalog = CatalogReader(settings.connections)
    catalog.start()
    crashes = CrashRecord(settings.crash_record)
    world = World(
        KubeApi(session), Cache(), settings, pool, read_catalog=catalog.read, crashes=crashes
    )
    world.stopwatch = Stopwatch(time.monotonic)

    async def once(key: Key) -> Outcome:
        return await reconcile(key, world=world, clock=utc_now)

    async def once_parked(key: Key) -> Outcome:
        return await reconcile(key, world=world, clock=utc_now, is_parked=True)

    queue = Queue(
        once,
        concurrency=settings.concurrency,
        reconcile_parked=once_parked,
        parked_slots=pool.workers,
    )
    if store is not None:
        world.store, store.wake = store, queue.add_all
    sync = Sync(world, queue)
    if not await _unless_stopped(sync.list_at_start(settings.first_list_patience), stop):
        return
    health = await _serve_health(sync, settings.health_port)
    watching = asyncio.create_task(_watch(session, sync, settings, stop), name="kopf")
    relisting = asyncio.create_task(sync.relist_forever(settings.relist_interval), name="relist")
    clock = asyncio.create_task(watch_clock(queue.ring_all), name="clock")
    # Unfinished runs first: thousands of runs in the list may have ended long ago.
    queue.start(is_urgent=lambda key: not world.cache.is_final(key))
    logger.info(
        "started",
        extra={"operations": world.cache.count(OPERATIONS), "pods": world.cache.count(PODS)},
    )
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if watching in done and not stop.is_set():
            await watching
    finally:
        for task in (watching, relisting, clock, stopping):
            task.cancel()
        # If kopf is stopped while it starts, its tasks may wait for each other; nothing of ours
        # depends on their end.
        tasks = {watching, relisting, clock, stopping}
        ended, _ = await asyncio.wait(tasks, timeout=_KOPF_END)
        for one in ended:
            one.cancelled() or one.exception()  # retrieved, so that asyncio does not log it
        await queue.stop()
        if health is not None:
            await health.cleanup()
        asyncio.get_running_loop().set_exception_handler(_report_unless_generator)


def _report_unless_generator(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report errors of the event loop, except that of closing a watch of kopf in the middle of an
    event, which is harmless at the end.
    """
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether the work finished before we were asked to stop; raises what it raised."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if working in done:
        await working
    return working in done


def _handle_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _watch(session: Session, sync: Sync, settings: Settings, stop: asyncio.Event) -> None:
    registry = kopf.OperatorRegistry()
    register(registry, sync)

    pauses = chain((0.0,), repeat(_LOGIN_PAUSE))

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        # After a 401 kopf refuses a session object that it has seen: wrap the same session again.
        await asyncio.sleep(next(pauses))
        return kopf.AiohttpSession(
            server=session.server,
            aiohttp_session=cast(Any, Loan(session, sync)),
            default_namespace=session.namespace,
        )

    namespaces = settings.watched_namespaces
    try:
        ours = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=_kopf_settings(),
            # Set here, since kopf cannot look up the user of the image, which has no name.
            identity=cast(Any, "opstrand"),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
        )
        # kopf replaced the signal handlers. Take them back: `stop` must say whether kopf was asked
        # to end or broke.
        _handle_signals(stop)
        await kopf.run_tasks(tasks, ignored=ours)
    except Exception as error:
        # kopf cancels every task of the loop when it ends: exit, and let the Deployment start the
        # operator again.
        raise PlatformError(f"the watches ended: {error or type(error).__name__}") from error


class _Backoffs:
    """Seconds between the retries of kopf, without an end: a watch that gave up would end the
    operator.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((0.2, 0.5, 1.0, 2.0), repeat(5.0))


def _kopf_settings() -> kopf.OperatorSettings:
    """Settings that make kopf a source of events only: no finalizers, no annotations, no peering,
    and no Events of its own.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.watching.reconnect_backoff = 0.1
    settings.watching.label_selectors[PODS.plural] = names.MANAGED_SELECTOR
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.enforce_retry_after = True
    # A worker stays for this long after the last event of its object. The number of workers is not
    # limited, so only memory matters.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    settings.process.ultimate_exiting_timeout = None
    return settings


async def _serve_health(sync: Sync, port: int) -> web.AppRunner | None:
    """Serve `/healthz` and `/readyz`, which report whether the watches live; not before the first
    full list.

    They do not report the backlog: being busy is healthy.
    """
    if not port:
        return None

    async def healthz(_: web.Request) -> web.Response:
        trouble = await sync.find_trouble()
        return web.json_response(
            {"ok": trouble is None, "trouble": trouble, **sync.numbers()},
            status=200 if trouble is None else 503,
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", healthz)])
    runner = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        shutdown_timeout=_HEALTH_END,
        keepalive_timeout=_HEALTH_IDLE,
    )
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()
    return runner


def collect_seldom() -> None:
    """Collect garbage rarely. Cycles are rare here and bodies are many: a search for cycles every
    700 objects would take two fifths of the time of a big list.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


def main() -> int:
    """`python -m opstrand.handlers`: run the operator in a cluster."""
    configure_logging()
    # kopf logs every event of every object at INFO.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # Do it before anything waits for it: it takes a tenth of a second of CPU time.
    decision_job.warm_up()
    collect_seldom()
    try:
        asyncio.run(run_operator(Settings.from_environment()))
    except (PlatformError, SpecError, OSError) as error:
        logger.error("%s", error)
        return 5
    return 0
