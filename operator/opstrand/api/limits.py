"""How much of the API one client, one run or one address may use at a time.

Owns the counting and the bounds. Must not know what the requests mean, and must not do I/O.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from opstrand.api.auth.callers import Caller, Unauthenticated

#: Addresses and tokens that are remembered, at most.
_MOST = 10_000
#: How many tokens of one address are checked, and bodies of one caller are read, at the same time;
#: the others wait for their turn.
_CHECKED_AT_ONCE = 16
_READ_AT_ONCE = 16
#: Seconds to wait for a turn.
_PATIENCE = 10.0

IsProven = Callable[[str], Awaitable[bool]]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Busy(Exception):
    """One client asks for more than its share; the text may be shown. `retry_after`: seconds."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooSlow(Exception):
    """The rest of a request did not arrive in time. The text may be shown."""


@dataclass(frozen=True)
class Limits:
    """What one client may use.

    The number of held requests by run and by caller; seconds for a body; and how many wrong tokens
    an address may send, at once and then per second.
    """

    held_per_run: int = 50
    held_per_caller: int = 300
    body_seconds: float = 30.0
    wrong_tokens: int = 30
    wrong_tokens_per_second: float = 1.0


class Held:
    """Counts held requests, which wait for news.

    Each of them uses memory, and one for a log uses a connection to the API server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_run: Counter[str] = Counter()
        self._by_caller: Counter[str] = Counter()

    @contextmanager
    def hold(self, run: str, caller: str) -> Iterator[None]:
        """Raises `Busy` if the run or the caller uses all its places."""
        if self._by_run[run] >= self._limits.held_per_run:
            raise Busy(
                f"More than {self._limits.held_per_run} requests wait for news of this run already."
            )
        if self._by_caller[caller] >= self._limits.held_per_caller:
            raise Busy(
                f"More than {self._limits.held_per_caller} requests of {caller} wait for news "
                "already."
            )
        self._by_run[run] += 1
        self._by_caller[caller] += 1
        try:
            yield
        finally:
            for counter, key in ((self._by_run, run), (self._by_caller, caller)):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]


class Turns:
    """At most `at_once` holders per key; others wait, in order."""

    def __init__(self, at_once: int, *, patience: float = _PATIENCE) -> None:
        self._at_once, self._patience = at_once, patience
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def acquire(self, key: str) -> AsyncIterator[None]:
        """Raises `Busy` if the turn does not come in time."""
        semaphore = self._semaphores.setdefault(key, asyncio.Semaphore(self._at_once))
        self._users[key] += 1
        try:
            await self._wait(semaphore)
            try:
                yield
            finally:
                semaphore.release()
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._semaphores[key]

    async def _wait(self, semaphore: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await semaphore.acquire()
        except TimeoutError:
            raise Busy("Too many requests of this kind are being read or checked.") from None


def make_body_turns() -> Turns:
    """Turns for bodies: each is up to two megabytes of memory while it is read."""
    return Turns(_READ_AT_ONCE)


@dataclass
class _Address:
    """How many more wrong tokens one address may send, as of the time `at`."""

    left: float
    at: float


async def nothing_is_proven(token: str) -> bool:
    """For an API that can only check a token by asking the API server."""
    return False


class TokenGate:
    """Lets an address try tokens until too many were wrong: each unknown one may cost a
    TokenReview.

    Since many clients may share an address, a token that was accepted before always passes, and so
    does one that `is_proven` confirms without a review.
    """

    def __init__(
        self, limits: Limits, is_proven: IsProven, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._is_proven, self._clock = limits, is_proven, clock
        self._turns = Turns(_CHECKED_AT_ONCE)
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._accepted: OrderedDict[bytes, None] = OrderedDict()

    async def identify(
        self, check: Callable[[str], Awaitable[Caller]], token: str, address: str
    ) -> Caller:
        """The caller that `check` returns for the token.

        Raises `Unauthenticated`, and `Busy` for an address that has to wait.
        """
        digest = hashlib.sha256(token.encode()).digest()
        if digest in self._accepted:
            try:
                return await check(token)
            except Unauthenticated:
                self._accepted.pop(digest, None)
                raise
        async with self._turns.acquire(network_of(address)):
            known = self._get(network_of(address))
            if self._refill(known) < 1 and not await self._is_proven(token):
                raise Busy(
                    "Too many tokens of this address were not accepted.",
                    1 / self._limits.wrong_tokens_per_second,
                )
            try:
                caller = await check(token)
            except Unauthenticated:
                known.left -= 1
                raise
        _remember(self._accepted, digest, None)
        return caller

    def _get(self, address: str) -> _Address:
        known = self._addresses.get(address) or _Address(self._limits.wrong_tokens, self._clock())
        _remember(self._addresses, address, known)
        return known

    def _refill(self, known: _Address) -> float:
        now = self._clock()
        gained = (now - known.at) * self._limits.wrong_tokens_per_second
        known.left, known.at = min(known.left + gained, self._limits.wrong_tokens), now
        return known.left


def _remember(memory: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    """Store the key as the newest; the oldest is dropped if there are too many."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _MOST:
        memory.popitem(last=False)


def network_of(address: str) -> str:
    """The addresses among which one client can choose: a single IPv4 address, or an IPv6 /64
    network.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
