"""The table of what Kubernetes makes of `$(VAR)`: the cases of its own tests, its order of
variables, and values that templates print.

The tests of the pure functions, of `run --local` and of a real kubelet in a real Pod read it: all
three must agree.
"""

from __future__ import annotations

import json
from typing import Any

#: (name, value as it is written, value that the program finds), in the order of declaration.
VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("VAR_A", "A", "A"),
    ("VAR_B", "B", "B"),
    ("VAR_C", "C", "C"),
    ("VAR_REF", "$$(VAR_A)", "$(VAR_A)"),
    ("VAR_EMPTY", "", ""),
    ("FOO", "bar", "bar"),
    ("ZOO", "$(FOO)-1", "bar-1"),
    ("BLU", "$(ZOO)-2", "bar-1-2"),
    ("BEFORE_ITS_TIME", "$(LATER)", "$(LATER)"),
    ("LATER", "later", "later"),
    ("ITSELF", "$(ITSELF)", "$(ITSELF)"),
    ("NO.NAME-of a shell", "odd", "odd"),
    ("OF_ODD", "$(NO.NAME-of a shell)", "odd"),
    ("ESCAPED", "$$(VAR_A) $$$$ $VAR_A $", "$(VAR_A) $$ $VAR_A $"),
)
RESOURCES = {"limits": {"cpu": "1500m", "memory": "96Mi"}, "requests": {"cpu": "100m"}}
LABELS = {"team": "vision"}
ANNOTATIONS = {"note.test/of": "$(VAR_A)"}
#: Variables with a value from the Pod itself; a variable that uses each of them is declared after
#: it.
TOLD: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("CPU", {"resourceFieldRef": {"resource": "limits.cpu"}}, "2"),
    ("MILLI_CPU", {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}, "1500"),
    ("ASKED_CPU", {"resourceFieldRef": {"resource": "requests.cpu"}}, "1"),
    ("MEMORY", {"resourceFieldRef": {"resource": "limits.memory"}}, str(96 * 1024 * 1024)),
    (
        "MEMORY_IN_GI",
        {
            "resourceFieldRef": {
                "resource": "limits.memory",
                "divisor": "1Gi",
                "containerName": "polyaxon-main",
            }
        },
        "1",
    ),
    ("ASKED_MEMORY", {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}, "96"),
    ("LABEL", {"fieldRef": {"fieldPath": "metadata.labels['team']"}}, "vision"),
    ("NO_LABEL", {"fieldRef": {"fieldPath": "metadata.labels['other']"}}, ""),
    ("ANNOTATION", {"fieldRef": {"fieldPath": "metadata.annotations['note.test/of']"}}, "$(VAR_A)"),
    (
        "NOT_THERE",
        {"secretKeyRef": {"name": "no-such-secret", "key": "a", "optional": True}},
        "$(NOT_THERE)",
    ),
)
#: One argument each: as it is written, and as the program receives it.
ARGUMENTS: tuple[tuple[str, str], ...] = (
    ("$(VAR_A)", "A"),
    ("$(VAR_A)-$(VAR_A)", "A-A"),
    ("$(VAR_A)-1", "A-1"),
    ("___$(VAR_B)___", "___B___"),
    ("___$(VAR_C)", "___C"),
    ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
    ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
    ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
    ("f000-$$VAR_A", "f000-$VAR_A"),
    ("foo\\$(VAR_C)bar", "foo\\Cbar"),
    ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
    ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
    ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
    ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
    ("$(VAR_REF)", "$(VAR_A)"),
    ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
    ("foo$(VAR_EMPTY)bar", "foobar"),
    ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
    ("f00__(VAR_A)__", "f00__(VAR_A)__"),
    ("$?_boo_$!", "$?_boo_$!"),
    ("$VAR_A", "$VAR_A"),
    ("$(VAR_DNE)", "$(VAR_DNE)"),
    ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
    ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
    ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
    ("$$$$$$$(VAR_A)", "$$$A"),
    ("$VAR_A)", "$VAR_A)"),
    ("${VAR_A}", "${VAR_A}"),
    ("$(VAR_B)_______$(A", "B_______$(A"),
    ("$(VAR_C)_______$(", "C_______$("),
    ("$(VAR_A)foobarzab$", "Afoobarzab$"),
    ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
    ("--$($($($($--", "--$($($($($--"),
    ("$($($($($--foo$(", "$($($($($--foo$("),
    ("foo0--$($($($(", "foo0--$($($($("),
    ("$(foo$$var)", "$(foo$$var)"),
    ("$()", "$()"),
    ("$(BLU) $(LATER) $(ITSELF)", "bar-1-2 later $(ITSELF)"),
    ("$(NO.NAME-of a shell)", "odd"),
    ("a\n$(VAR_A)\n", "a\nA\n"),
    ("5 $ and 6 $€", "5 $ and 6 $€"),
)
#: Values of params. The program receives every one unchanged, whatever text is beside it.
VALUES: tuple[str, ...] = (
    "pa$$word$(TOKEN)",
    "$(VAR_A)",
    "$(VAR_DNE)",
    "$$(VAR_A)",
    "$$$",
    "$",
    "(VAR_A)",
    "VAR_A",
    "VAR_A) $(VAR_B",
    "a$",
    "$5 $€ $?",
    "$(",
    ")",
)
#: Templates, and what the program receives: `VALUE` stands for the value.
TEMPLATES: tuple[tuple[str, str], ...] = (
    ("{{ value }}", "VALUE"),
    ("{{ params.value.as_arg }}", "--value=VALUE"),
    ("$(VAR_A)/{{ value }}/$(VAR_B)", "A/VALUE/B"),
    ("{{ value }}$(VAR_A)", "VALUEA"),
    ("${{ value }}", "$VALUE"),
    ("$({{ value }})", "$(VALUE)"),
    ("{{ value }}(VAR_A)", "VALUE(VAR_A)"),
    ("{{ value }}$$(VAR_A) $$", "VALUE$(VAR_A) $"),
    ("$(seq {{ value }} $$) $$", "$(seq VALUE $$) $"),
    ("$(VAR_A{{ value }}", "$(VAR_AVALUE"),
    ("{{ value | replace('nothing', '') }}$(VAR_A)", "VALUEA"),
    ("{% for one in [value, value] %}{{ one }}:$(VAR_A);{% endfor %}", "VALUE:A;VALUE:A;"),
    ("{% if value %}$(VAR_A){% endif %}{{ value }}", "AVALUE"),
    ("{% raw %}$(VAR_A){% endraw %}{{ value }}", "AVALUE"),
    ("{% set twice = value ~ value %}{{ twice }}", "VALUEVALUE"),
    ("{% macro of(x) %}<{{ x }}>{% endmacro %}{{ of(value) }}$(VAR_A)", "<VALUE>A"),
    ("{% filter trim %}{{ value }}{% endfilter %}$(VAR_A)", "VALUEA"),
)
_SHOW = (
    "import json, os, sys; print(json.dumps([sys.argv[1:], {name: os.environ[name] for name in "
    "sys.argv[1].split(',')}]))"
)


def component() -> dict[str, Any]:
    """Return a job that prints its arguments and variables as JSON, which must equal `expected`.

    It runs in any image with python3.
    """
    inputs = [
        {"name": f"v{index}", "type": "str", "value": value} for index, value in enumerate(VALUES)
    ]
    inputs.append(
        {
            "name": "formatted",
            "type": "str",
            "value": VALUES[0],
            "argFormat": "--at=$(VAR_A)/{{ formatted }}",
        }
    )
    printed = [text for index in range(len(VALUES)) for text in _rendered_for(index)]
    args = [
        ",".join(_names()),
        *(text for text, _ in ARGUMENTS),
        *printed,
        "{{ params.formatted.as_arg }}",
    ]
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value, _ in VARIABLES]
    env += [
        {"name": f"OF_VALUE_{index}", "value": f"$(VAR_A){{{{ v{index} }}}}"}
        for index in range(len(VALUES))
    ]
    for name, source, _ in TOLD:
        env += [{"name": name, "valueFrom": source}, {"name": f"OF_{name}", "value": f"$({name})"}]
    env.append({"name": "AS_JSON", "value": {"given": "{{ v0 }}", "own": "$(VAR_A)"}})
    container = {
        "image": "localhost/python-base:1",
        "command": ["python3", "-c", _SHOW],
        "args": args,
        "env": env,
        "resources": RESOURCES,
    }
    environment = {"labels": LABELS, "annotations": ANNOTATIONS}
    return {
        "kind": "component",
        "inputs": inputs,
        "run": {"kind": "job", "environment": environment, "container": container},
    }


def expected() -> list[Any]:
    """Return what the job must print, parsed from JSON."""
    printed = [text.replace("VALUE", value) for value in VALUES for text in _expected_for(value)]
    arguments = [
        ",".join(_names()),
        *(text for _, text in ARGUMENTS),
        *printed,
        f"--at=A/{VALUES[0]}",
    ]
    variables = {name: value for name, _, value in VARIABLES}
    variables |= {f"OF_VALUE_{index}": f"A{value}" for index, value in enumerate(VALUES)}
    variables |= {f"OF_{name}": value for name, _, value in TOLD}
    variables["AS_JSON"] = json.dumps({"given": VALUES[0], "own": "A"}, separators=(",", ":"))
    return [arguments, variables]


def _names() -> list[str]:
    return [
        *(name for name, _, _ in VARIABLES),
        *(f"OF_VALUE_{index}" for index in range(len(VALUES))),
        *_told(),
        "AS_JSON",
    ]


def _told() -> list[str]:
    return [f"OF_{name}" for name, _, _ in TOLD]


def _rendered_for(index: int) -> list[str]:
    return [text.replace("value", f"v{index}") for text, _ in TEMPLATES]


def _expected_for(value: str) -> list[str]:
    name = f"v{VALUES.index(value)}"
    return [text.replace("--value=", f"--{name}=") for _, text in TEMPLATES]
