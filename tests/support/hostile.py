"""Operations that a user writes to harm others, or by mistake: a table of kinds, and any number of
each.

`make_hostile(seed, count)` gives the same bodies for the same seed; another seed gives others of
the same kinds. A user with the right to create Operations can write each of them; the API server
may refuse some.
"""
# ruff: noqa: UP031 - the % operator leaves the braces of templates alone

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Spec = dict[str, Any]


def job(container: Mapping[str, Any] | None = None, **component: Any) -> Spec:
    run = {
        "kind": "job",
        "container": {"image": "busybox", "command": ["true"], **(container or {})},
    }
    return {"component": {"run": run, **component}}


def endless_loops(dice: random.Random) -> Spec:
    loop = dice.choice(
        (
            "{% for i in range(10**12) %}{% endfor %}",
            "{{ range(10**11) | sum }}",
            "{{ 9 ** (9 ** 9) }}",
        )
    )
    return job({"args": [loop] * dice.randint(1, 30)})


def slow_regex(dice: random.Random) -> Spec:
    pattern, text = dice.choice(("(a+)+b", "(a|a)*b", "(.*)*x")), "a" * dice.randint(28, 60)
    if dice.random() < 0.5:
        return job(
            {"args": ["{{ t is matching('%s') }}" % pattern]},
            inputs=[{"name": "t", "type": "str", "value": text}],
        )
    return job(
        inputs=[{"name": "t", "type": "str", "value": text, "validation": {"regex": pattern}}]
    )


def memory_bomb(dice: random.Random) -> Spec:
    size = 10 ** dice.randint(7, 10)
    bomb = dice.choice(
        (
            "{{ [0] * %d }}",
            "{{ 'a' * %d }}",
            "{{ range(%d) | list }}",
            "{{ 'x'.rjust(%d) }}",
            "{{ range(%d) | join('-') }}",
        )
    )
    return job({"args": [bomb % size] * dice.randint(1, 30)})


def slow_memory(dice: random.Random) -> Spec:
    return job(
        {
            "args": [
                "{% set a = namespace(x='y') %}{% for i in range(60) %}{% set a.x = a.x ~ a.x %}{% "
                "endfor %}"
            ]
            * dice.randint(1, 9)
        }
    )


def joined_lookups(dice: random.Random) -> Spec:
    text = "t" * dice.choice((1_000, 20_000, 200_000))
    times = dice.choice((100, 1_000, 3_000))
    return job(
        {"command": ["{{ a }}" * times]}, inputs=[{"name": "a", "type": "str", "value": text}]
    )


def many_lookups(dice: random.Random) -> Spec:
    text = "t" * dice.choice((1_000, 50_000, 200_000))
    return job(
        {"args": ["{{ a }}"] * dice.choice((300, 3_000))},
        inputs=[{"name": "a", "type": "str", "value": text}],
    )


def all_params_again(dice: random.Random) -> Spec:
    inputs = [
        {"name": f"p{n}", "type": "str", "value": "v" * dice.randint(1, 400)}
        for n in range(dice.choice((100, 400)))
    ]
    return job({"args": ["{{ params.as_args }}"] * dice.choice((100, 1_000))}, inputs=inputs)


def many_options(dice: random.Random) -> Spec:
    items, options = dice.choice(((60_000, 60_001), (20_000, 500), (500, 20_000)))
    rule = dice.choice(("options", "options", "contains", "excludes"))
    allowed = list(range(options))
    validation = {"options": allowed} if rule == "options" else {rule: allowed}
    if rule == "options" and dice.random() < 0.5:
        return job(
            inputs=[
                {
                    "name": "a",
                    "type": "int",
                    "isList": True,
                    "value": list(range(items)),
                    "options": allowed,
                }
            ]
        )
    return job(
        inputs=[
            {
                "name": "a",
                "type": "int",
                "isList": True,
                "value": list(range(items)),
                "validation": validation,
            }
        ]
    )


def deep_nesting(dice: random.Random) -> Spec:
    depth = dice.choice((50, 59, 61, 200, 900))
    value: Any = 1
    for _ in range(depth):
        value = [value] if dice.random() < 0.5 else {"a": value}
    return job(inputs=[{"name": "a", "type": "dict", "value": {"a": value}}])


def many_small_parts(dice: random.Random) -> Spec:
    part: Any = dice.choice(([], {}, "", 0, None, [[]]))
    count = dice.choice((50_000, 150_000, 250_000))
    where = dice.choice(("args", "value", "env"))
    if where == "args":
        return job({"args": ["a"] * count})
    if where == "env":
        return job({"env": [{"name": f"v{n}", "value": "x"} for n in range(count // 10)]})
    return job(inputs=[{"name": "a", "type": "list", "value": [part] * count}])


def large_text(dice: random.Random) -> Spec:
    size = dice.choice((100_000, 500_000, 1_200_000))
    text = dice.choice(("a", "ü", "{", "{{", "\n", "$(A)")) * size
    return job({"args": [text[: min(size, 1_200_000)]]})


def many_params(dice: random.Random) -> Spec:
    count = dice.choice((1_000, 5_000))
    params = {
        f"p{n}": {"value": "{{ p%d }}" % (n - 1) if n and dice.random() < 0.7 else n}
        for n in range(count)
    }
    return {**job(inputs=[{"name": name, "type": "int"} for name in params]), "params": params}


def template_chain(dice: random.Random) -> Spec:
    """Each value is twice as long as the value before it."""
    count = dice.choice((12, 25, 60))
    inputs = [{"name": "p0", "type": "str", "value": "x" * 100}]
    inputs += [
        {"name": f"p{n}", "type": "str", "value": "{{ p%d }}{{ p%d }}" % (n - 1, n - 1)}
        for n in range(1, count)
    ]
    return job(inputs=inputs)


def joins(dice: random.Random) -> Spec:
    count = dice.choice((1, 20, 200))
    query = dice.choice(("kind: job", "status: failed", "inputs.a: 1", "name: %h%"))
    found = [
        {
            "query": query,
            "limit": 5000,
            "params": {f"j{n}": {"value": dice.choice(("outputs.x", "globals.uuid", "inputs"))}},
        }
        for n in range(count)
    ]
    return {**job(), "joins": found}


def matrix(dice: random.Random) -> Spec:
    axes = {f"m{n}": {"kind": "range", "value": [0, 10**6, 1]} for n in range(dice.randint(1, 20))}
    if dice.random() < 0.5:
        axes = {
            f"m{n}": {"kind": "choice", "value": list(range(dice.choice((1_000, 5_000))))}
            for n in range(dice.randint(1, 9))
        }
    return {
        **job(inputs=[{"name": name, "type": "int"} for name in axes]),
        "matrix": {"kind": "grid", "params": axes},
    }


def refs_fan_out(dice: random.Random) -> Spec:
    """The params refer to many runs; some exist and some never will."""
    count = dice.choice((50, 500, 3_000))
    ref = dice.choice(("ops.hostile-%d", "ops.nobody-%d"))
    params = {
        f"r{n}": {
            "ref": ref % n,
            "value": dice.choice(("inputs", "globals.name", "globals")),
            "contextOnly": True,
        }
        for n in range(count)
    }
    return {**job(), "params": params}


def pipeline(dice: random.Random) -> Spec:
    count = dice.choice((100, 500, 1_500))
    operations = [
        {
            "name": f"o{n}",
            "dependencies": [f"o{dice.randint(max(n - 5, 0), n - 1)}"] if n else [],
            **job({"args": ["{{ globals.name }}"]}),
        }
        for n in range(count)
    ]
    return {"component": {"run": {"kind": "dag", "operations": operations}}}


def many_init_files(dice: random.Random) -> Spec:
    count = dice.choice((100, 1_000))
    init = [
        {"file": {"filename": f"f{n}", "content": "{{ globals.name }}\n" * dice.randint(1, 60)}}
        for n in range(count)
    ]
    spec = job()
    spec["component"]["run"]["init"] = init
    return spec


def template_everywhere(dice: random.Random) -> Spec:
    """The file is small and valid, and every text of it has a filter."""
    return job(
        {"args": ["{{ globals.name | upper }}-%d" % n for n in range(dice.choice((10, 300)))]}
    )


def odd_conditions(dice: random.Random) -> Spec:
    parts = " and ".join("globals.name != '%d'" % n for n in range(dice.choice((100, 2_000))))
    return {
        **job(),
        "conditions": dice.choice(
            (parts, "{{ range(10**11) | sum > 1 }}", "(" * 150 + "1" + ")" * 150)
        ),
    }


def patches(dice: random.Random) -> Spec:
    count = dice.choice((1_000, 20_000))
    patch = {"container": {"env": [{"name": f"a{n}", "value": "x" * 10} for n in range(count)]}}
    return {
        **job({"env": [{"name": f"b{n}", "value": "x"} for n in range(count)]}),
        "runPatch": patch,
        "patchStrategy": "post_merge",
    }


def many_unknown_keys(dice: random.Random) -> Spec:
    return {**job(), **{f"paramz{n}": 1 for n in range(dice.choice((100, 5_000)))}}


def metadata(dice: random.Random) -> Spec:
    return job()


Kind = Callable[[random.Random], Spec]
KINDS: dict[str, Kind] = {
    make.__name__: make
    for make in (
        *(
            endless_loops,
            slow_regex,
            memory_bomb,
            slow_memory,
            joined_lookups,
            many_lookups,
            all_params_again,
            many_options,
        ),
        *(
            deep_nesting,
            many_small_parts,
            large_text,
            many_params,
            template_chain,
            joins,
            matrix,
            refs_fan_out,
            pipeline,
        ),
        *(
            many_init_files,
            template_everywhere,
            odd_conditions,
            patches,
            many_unknown_keys,
            metadata,
        ),
    )
}


def make_hostile(
    seed: int, count: int, kinds: Mapping[str, Callable[[random.Random], Spec]] = KINDS
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return (kind, body) of `count` Operations that go through the kinds in turn. Their names are
    `hostile-NUMBER`.
    """
    for number, (name, make) in enumerate(itertools.islice(itertools.cycle(kinds.items()), count)):
        dice = random.Random(f"{seed} {number} {name}")
        head: dict[str, Any] = {"name": f"hostile-{number}"}
        if name == "metadata":
            head["labels"] = {f"l{n}": "x" * 60 for n in range(dice.choice((100, 2_000)))}
            head["annotations"] = {f"a{n}": "x" * 100 for n in range(dice.choice((100, 1_500)))}
        yield (
            name,
            {
                "apiVersion": "opstrand.dev/v1",
                "kind": "Operation",
                "metadata": head,
                "spec": make(dice),
            },
        )
