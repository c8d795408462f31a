"""What one run, one caller and one address may use at a time; others are not affected."""

from __future__ import annotations

import asyncio
import logging

import pytest

from opstrand.api.auth.callers import Caller, Unauthenticated
from opstrand.api.limits import Busy, Held, Limits, TokenGate, Turns, network_of, nothing_is_proven
from opstrand.logs import Sparse
from opstrand.runs.answers import Memory


def test_places_are_counted_by_run_and_by_caller_and_given_back() -> None:
    held = Held(Limits(held_per_run=2, held_per_caller=3))
    with held.hold("a", "alice"), held.hold("a", "bob"):
        with pytest.raises(Busy, match="this run"), held.hold("a", "carol"):
            pass
        with held.hold("b", "alice"), held.hold("c", "alice"):
            with pytest.raises(Busy, match="of alice"), held.hold("d", "alice"):
                pass
            with held.hold("d", "bob"):
                pass
    for _ in range(3):
        with held.hold("a", "alice"), held.hold("a", "alice"):
            pass
    with pytest.raises(ValueError), held.hold("a", "alice"):
        raise ValueError
    assert not held._by_run
    assert not held._by_caller


async def test_turns_are_taken_in_order_and_one_keys_queue_is_not_anothers() -> None:
    turns = Turns(1, patience=0.05)
    async with turns.acquire("a"):
        async with turns.acquire("b"):
            pass
        with pytest.raises(Busy):
            async with turns.acquire("a"):
                pass
        waiting = asyncio.create_task(acquire(turns, "a"))
        await asyncio.sleep(0.01)
    assert await waiting
    assert not turns._semaphores
    assert not turns._users


async def acquire(turns: Turns, key: str) -> bool:
    async with turns.acquire(key):
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Checker:
    """Accepts tokens that begin with `good`, and counts the reviews."""

    asked = 0

    async def __call__(self, token: str) -> Caller:
        self.asked += 1
        await asyncio.sleep(0)
        if not token.startswith("good"):
            raise Unauthenticated("no")
        return Caller(name=token)


async def outcomes(
    gate: TokenGate, check: Checker, tokens: list[str], address: str = "10.0.0.1"
) -> list[type]:
    found = await asyncio.gather(
        *(gate.identify(check, token, address) for token in tokens), return_exceptions=True
    )
    return [type(one) for one in found]


async def test_an_address_that_gets_too_many_tokens_wrong_has_to_wait_and_no_other() -> None:
    clock, check = Clock(), Checker()
    gate = TokenGate(Limits(wrong_tokens=5, wrong_tokens_per_second=1), nothing_is_proven, clock)
    assert await outcomes(gate, check, ["good-known"]) == [Caller]
    tried = await outcomes(gate, check, [f"bad-{n}" for n in range(200)])
    # Reviews that were in progress when the last wrong token arrived are completed too.
    assert tried.count(Unauthenticated) < 5 + 16
    assert tried.count(Busy) + tried.count(Unauthenticated) == 200
    asked = check.asked
    assert await outcomes(gate, check, ["bad", "good-new"]) == [Busy, Busy]
    assert check.asked == asked
    # it was accepted before
    assert await outcomes(gate, check, ["good-known"] * 50) == [Caller] * 50
    assert await outcomes(gate, check, ["good-new", "bad"], "10.0.0.2") == [Caller, Unauthenticated]
    clock.now += 60
    assert await outcomes(gate, check, ["good-newer"]) == [Caller]


async def test_a_token_that_is_proven_passes_from_an_address_that_has_to_wait() -> None:
    async def is_proven(token: str) -> bool:
        return token.endswith("signed")

    check = Checker()
    gate = TokenGate(Limits(wrong_tokens=1), is_proven, Clock())
    await outcomes(gate, check, ["bad-1", "bad-2"])
    assert await outcomes(gate, check, ["good", "good-signed"]) == [Busy, Caller]


async def test_a_token_that_is_accepted_no_more_is_as_wrong_as_any_other() -> None:
    gate, check = TokenGate(Limits(wrong_tokens=1), nothing_is_proven, Clock()), Checker()
    assert await outcomes(gate, check, ["good"]) == [Caller]

    class Strict(Checker):
        async def __call__(self, token: str) -> Caller:
            raise Unauthenticated("expired")

    assert await outcomes(gate, Strict(), ["good"]) == [Unauthenticated]
    assert await outcomes(gate, Strict(), ["good"]) == [Unauthenticated]
    assert await outcomes(gate, Strict(), ["good"]) == [Busy]


async def test_many_refusals_do_not_drive_out_what_was_accepted() -> None:
    memory: Memory[str] = Memory(60, most=10)
    asked = 0

    async def accept() -> str:
        nonlocal asked
        asked += 1
        return "alice"

    async def refuse() -> str:
        raise Unauthenticated("no")

    assert await memory.get("good", accept) == "alice"
    for number in range(100):
        with pytest.raises(Unauthenticated):
            await memory.get(number, refuse)
    assert await memory.get("good", accept) == "alice"
    assert asked == 1


def test_who_can_choose_among_many_addresses_is_one_client() -> None:
    assert network_of("10.1.2.3") == "10.1.2.3"
    assert (
        network_of("2001:db8:1:2::1")
        == network_of("2001:db8:1:2:ffff::9%eth0")
        != network_of("2001:db8:1:3::1")
    )
    assert network_of("") == ""


def test_what_clients_can_cause_at_will_is_logged_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    sparse = Sparse(logging.getLogger("test"), seconds=1000)
    for _ in range(50):
        sparse.info("malformed", peer="10.0.0.1")
    sparse.info("another", peer="10.0.0.1")
    assert [record.message for record in caplog.records] == ["malformed", "another"]
    sparse._seconds = 0
    sparse.info("malformed", peer="10.0.0.1")
    assert caplog.records[-1].held_back == 49  # type: ignore[attr-defined]
