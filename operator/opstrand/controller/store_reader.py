"""What the store has of runs whose objects are gone: asked of the API while all runs go on.

Owns which questions are open, whom an answer wakes, and the pauses between tries. A look never
waits: it returns the answer, or that it is still to come, and then its run is woken. While the API
does not answer, one question at a time is tried, with growing pauses. Must not know HTTP, and must
not decide what becomes of a run.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Protocol

from opstrand.core.packed import from_parcel, is_large, pack
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.core.resolving.stored import StoredRun, StoredRuns, Unanswered
from opstrand.errors import PlatformError
from opstrand.types import Body, Key

logger = logging.getLogger(__name__)

#: Questions in flight: look-ups, and searches beside them. A search may take minutes, and holds up
#: no look-up.
_LOOK_UPS, _SEARCHES = 4, 2
#: Seconds that an answer is kept for the runs that it woke.
_KEPT = 30.0
#: Bytes of answers that are kept, about.
_MOST_BYTES = 64 * 1024 * 1024
#: Seconds after which an API without a store is asked again: it may have been given one.
_ABSENT = 60.0
#: Seconds between two tries: the first pause, which doubles, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

Question = StoredRun | StoredRuns


class NoStore(Exception):
    """The API keeps no runs."""


class QuestionRefused(PlatformError):
    """The API answers, but not this question."""


class Client(Protocol):
    """Asks the API."""

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        """The bodies that answer it, each as a parcel.

        Raises NoStore, QuestionRefused, and PlatformError if the API does not answer. Their
        messages end up in statuses: the same trouble always has the same message.
        """


@dataclass(frozen=True)
class _Answer:
    """What is known of a question: the parcels of a search, or the run that a look-up found."""

    parcels: tuple[bytes, ...] = ()
    #: Packed if it is large: every look returns the same.
    body: Body | None = None
    #: Whether the API has not seen yet how the run ended, or this process that it began.
    is_early: bool = False
    #: About the bytes that it takes in memory.
    size: int = 0


@dataclass
class _Open:
    """A question. `keys`: the runs that looked since the last time that they were woken."""

    keys: set[Key] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    answer: _Answer | None = None
    trouble: str = ""
    tries: int = 0

    @property
    def size(self) -> int:
        return 0 if self.answer is None else self.answer.size


def _wake_none(_: Iterable[Key]) -> None:
    """Before anything is reconciled, no run waits."""


class StoreReader:
    """Answers of the store. `wake` is called with the runs that have something to look at."""

    def __init__(self, client: Client, wake: Callable[[Iterable[Key]], None] = _wake_none) -> None:
        self._client, self.wake = client, wake
        self._open: dict[tuple[str, Question], _Open] = {}
        self._slots = {
            StoredRun: asyncio.Semaphore(_LOOK_UPS),
            StoredRuns: asyncio.Semaphore(_SEARCHES),
        }
        #: Why no question is answered at the moment, and how often it was tried since.
        self._trouble, self._tries = "", 0
        self._absent_until = float("-inf")
        #: The bytes of all answers that are kept.
        self._held = 0
        self._try: asyncio.TimerHandle | None = None

    @property
    def is_there(self) -> bool:
        """Whether there may be a store."""
        return asyncio.get_running_loop().time() >= self._absent_until

    def find(self, key: Key, uuid: str) -> Body | Unanswered | None:
        """The run of this uuid, for the run that asks; a large body is packed."""
        found = self._look(key, StoredRun(uuid))
        return found if isinstance(found, Unanswered) else found.body

    def search(self, key: Key, question: StoredRuns) -> Sequence[bytes] | Unanswered:
        """The runs of a search as parcels, for the run that asks."""
        found = self._look(key, question)
        return found if isinstance(found, Unanswered) else found.parcels

    def _look(self, key: Key, question: Question) -> _Answer | Unanswered:
        if not self.is_there:
            return _Answer()
        place = key[0], question
        found = self._open.setdefault(place, _Open())
        found.keys.add(key)
        if found.answer is not None:
            return found.answer
        if not (found.trouble or self._trouble):
            self._start(place, found)
        return Unanswered(found.trouble or self._trouble)

    def _start(self, place: tuple[str, Question], asked: _Open, *, is_try: bool = False) -> None:
        if asked.task is None:
            asked.task = asyncio.create_task(self._ask(place, asked, is_try), name="ask the store")

    async def _ask(self, place: tuple[str, Question], asked: _Open, is_try: bool) -> None:
        try:
            async with self._slots[type(place[1])]:
                if self._trouble and not is_try:
                    return  # it is asked once the API answers again
                parcels = await self._client.ask(*place)
            # One that cannot be read is none: it is asked for again.
            answer = _read_answer(place[1], parcels)
        except NoStore:
            self._forget_all()
        except QuestionRefused as error:
            self._recover()
            self._refuse(place, asked, error.message)
        except PlatformError as error:
            self._fail(error.message)
        except Exception:
            logger.exception("asking the store failed: this is a bug")
            self._refuse(place, asked, "asking for it fails by a bug of opstrand")
            if self._trouble:
                # It may have been the try: nothing else would go on.
                self._plan_try()
        else:
            self._recover()
            self._accept(place, asked, answer)
        finally:
            asked.task = None

    def _accept(self, place: tuple[str, Question], asked: _Open, answer: _Answer) -> None:
        if self._open.get(place) is not asked:
            self._wake_of(asked)
            return
        self._held += answer.size - asked.size
        asked.answer, asked.trouble = answer, ""
        if answer.is_early:
            asked.tries += 1
            self._later(_pause(asked.tries), lambda: self._ask_again(place, asked))
        else:
            self._later(_KEPT, lambda: self._forget(place, asked))
        self._wake_of(asked)
        self._forget_oldest(place)

    def _forget_oldest(self, newest: tuple[str, Question]) -> None:
        """Keep no more answers than fit into memory; a run that comes too late asks again."""
        if self._held <= _MOST_BYTES:
            return
        for place, asked in list(self._open.items()):
            if asked.size and place != newest:
                self._forget(place, asked)
            if self._held <= _MOST_BYTES:
                return

    def _refuse(self, place: tuple[str, Question], asked: _Open, message: str) -> None:
        asked.trouble = message
        asked.tries += 1
        logger.warning(
            "the store does not answer about %s: %s", place[1], message, extra={"project": place[0]}
        )
        self._later(_pause(asked.tries), lambda: self._ask_again(place, asked))
        self._wake_of(asked)

    def _ask_again(self, place: tuple[str, Question], asked: _Open) -> None:
        """Ask the same again, if a run looked since.

        Until then it has no answer: if the API fails, it is tried again like every question.
        """
        if self._open.get(place) is asked:
            self._held -= asked.size
        asked.answer = None
        if not asked.keys:
            self._forget(place, asked)
        elif not self._trouble:
            self._start(place, asked)

    def _fail(self, trouble: str) -> None:
        """No question is answered: report it to all runs that wait; after a pause, try one."""
        is_news, self._trouble = trouble != self._trouble, trouble
        self._plan_try()
        if is_news:
            for asked in [one for one in self._open.values() if one.answer is None]:
                self._wake_of(asked)

    def _plan_try(self) -> None:
        if self._try is not None:
            return
        self._tries += 1
        pause = _pause(self._tries)
        logger.warning(
            "%s: runs that are gone are not known; again in %.0f s", self._trouble, pause
        )
        self._try = self._later(pause, self._try_one)

    def _try_one(self) -> None:
        self._try = None
        waiting = self._drop_unwanted()
        if not waiting:
            self._trouble, self._tries = "", 0
            return
        place = next((one for one in waiting if self._can_start(one)), None)
        if place is None:
            # Each is in flight, or waits for those: what they find may be the end of the trouble.
            self._try = self._later(_pause(self._tries), self._try_one)
            return
        # The last one the next time: it may be the question that the API does not survive.
        asked = self._open[place] = self._open.pop(place)
        self._start(place, asked, is_try=True)

    def _can_start(self, place: tuple[str, Question]) -> bool:
        return self._open[place].task is None and not self._slots[type(place[1])].locked()

    def _recover(self) -> None:
        """The API answers: ask what is still open."""
        if not self._trouble:
            return
        logger.info("the API answers again")
        self._trouble, self._tries = "", 0
        for place in self._drop_unwanted():
            self._start(place, self._open[place])

    def _drop_unwanted(self) -> list[tuple[str, Question]]:
        """Forget the questions that no run has asked since; returns the others without answer."""
        unanswered = [place for place, one in self._open.items() if one.answer is None]
        for place in unanswered:
            if not self._open[place].keys and self._open[place].task is None:
                del self._open[place]
        return [place for place in unanswered if place in self._open]

    def _forget_all(self) -> None:
        """There is no store: what is not in the cluster is nowhere."""
        self._absent_until = asyncio.get_running_loop().time() + _ABSENT
        self._trouble, self._tries = "", 0
        keys = [key for asked in self._open.values() for key in asked.keys]
        self._open.clear()
        self._held = 0
        self.wake(keys)

    def _forget(self, place: tuple[str, Question], asked: _Open) -> None:
        if self._open.get(place) is asked:
            del self._open[place]
            self._held -= asked.size

    def _wake_of(self, asked: _Open) -> None:
        keys, asked.keys = asked.keys, set()
        self.wake(sorted(keys))

    def _later(self, seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, what, context=Context())

    async def stop(self) -> None:
        """Cancel what is in flight: the next start asks again."""
        tasks = [one.task for one in self._open.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _pause(tries: int) -> float:
    return min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE)


def _read_answer(question: Question, parcels: Sequence[bytes]) -> _Answer:
    """Read an answer, once: a large run takes a while. Raises if it is none of ours."""
    if isinstance(question, StoredRuns):
        return _Answer(tuple(parcels), size=sum(map(len, parcels)))
    if not parcels:
        return _Answer()
    whole: Body | None = from_parcel(parcels[0])
    assert whole is not None
    body = pack(whole)
    size = len(parcels[0]) if is_large(body) else len(json.dumps(body))
    is_early = not parse_phase(read_status(whole)).is_final
    return _Answer(body=body, is_early=is_early, size=size)
