"""The worker process: what it refuses, how long that takes, and that it goes on afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from opstrand.controller.template_worker import Allowance, Sandbox
from opstrand.core.templates.template import EvaluationFailed

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seconds=0.5) as sandbox:
        sandbox.start()
        yield sandbox


def refusal(sandbox: Sandbox, source: str) -> str:
    started = time.monotonic()
    with pytest.raises(EvaluationFailed) as caught:
        sandbox.evaluate(source, {"x": "a"})
    assert time.monotonic() - started < 2
    assert sandbox.evaluate("{{ x * 2 }}", {"x": 2}) == 4
    return caught.value.message


@pytest.mark.parametrize(
    "source", ["{{ 'a' * 300000000 }}", "{{ [0] * 10**9 }}", "{{ x.rjust(10**10) }}"]
)
def test_too_much_memory_is_refused(sandbox: Sandbox, source: str) -> None:
    assert refusal(sandbox, source) == "it takes too much memory"


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10**12) %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ range(10**12) | list }}",
    ],
)
def test_too_much_time_is_refused(sandbox: Sandbox, source: str) -> None:
    assert refusal(sandbox, source) in ("it takes longer than 0.5 s", "it takes too much memory")


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__ }}",
        "{{ x | attr('__class__') }}",
        "{{ x['__class__'].mro() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ [].append(1) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ x.encode }}",
        "{{ lipsum }}",
    ],
)
def test_the_way_out_of_a_template_is_refused(sandbox: Sandbox, source: str) -> None:
    assert refusal(sandbox, source)


def test_a_result_that_is_too_large_is_refused(sandbox: Sandbox) -> None:
    assert "bytes; at most" in refusal(sandbox, "{{ 'a' * 5000000 }}")


def test_a_costly_regex_is_bounded(sandbox: Sandbox) -> None:
    source = "{{ text is matching(pattern) }}"
    assert sandbox.evaluate(source, {"text": "aab", "pattern": "(a+)+b"}) is True
    with pytest.raises(EvaluationFailed, match="longer than"):
        sandbox.evaluate(source, {"text": "a" * 40 + "c", "pattern": "(a+)+b"})


def test_threads_take_turns(sandbox: Sandbox) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(sandbox.evaluate("{{ n * 2 }}", {"n": n})))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_closed_sandbox_starts_again_when_it_is_needed() -> None:
    sandbox = Sandbox()
    assert sandbox.evaluate("{{ 1 + 1 }}", {}) == 2
    sandbox.close()
    assert sandbox.evaluate("{{ 1 + 2 }}", {}) == 3
    sandbox.close()


def test_a_worker_that_was_lost_is_replaced_within_one_request(sandbox: Sandbox) -> None:
    worker = sandbox._find_worker()
    worker.kill()
    assert sandbox.evaluate("{{ 1 + 1 }}", {}) == 2


def test_values_may_have_the_names_that_the_engine_uses_inside(sandbox: Sandbox) -> None:
    names = ("result", "context", "args", "values", "environment", "loop")
    assert [sandbox.evaluate(f"{{{{ {name} + 1 }}}}", {name: 1}) for name in names] == [2] * len(
        names
    )


def test_line_ends_survive(sandbox: Sandbox) -> None:
    assert sandbox.evaluate("{% if x %}a{% endif %}\r\nb\r\n", {"x": 1}) == "a\r\nb\r\n"


def test_the_templates_of_one_run_have_one_allowance(sandbox: Sandbox) -> None:
    allowance = Allowance(1.0)
    messages = []
    sandbox._start_seconds = 0.0  # the start of a worker depends on the machine
    for _ in range(3):
        sandbox._find_worker()
        sandbox._start_seconds = 0.0
        with pytest.raises(EvaluationFailed) as caught:
            sandbox.evaluate("{% for i in range(10**12) %}{% endfor %}", {}, allowance=allowance)
        messages.append(caught.value.message)
    assert messages == [
        *["it takes longer than 0.5 s"] * 2,
        "the templates before it took 1 s, which is all that a run's templates may take",
    ]
    assert sandbox.for_one_run()("{{ 1 + 1 }}", {}) == 2


def test_the_worker_that_a_template_killed_is_charged_to_it(sandbox: Sandbox) -> None:
    sandbox.start()
    sandbox._start_seconds = 30.0
    allowance = Allowance(10.0)
    assert sandbox.evaluate("{{ 1 + 1 }}", {}, allowance=allowance) == 2
    assert allowance.left > 9
    with pytest.raises(EvaluationFailed, match="too much memory"):
        sandbox.evaluate("{{ 'a' * 300000000 }}", {}, allowance=allowance)
    with pytest.raises(EvaluationFailed, match="all that a run's templates may take"):
        sandbox.evaluate("{{ 1 + 1 }}", {}, allowance=allowance)
