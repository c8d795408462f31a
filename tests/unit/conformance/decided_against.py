"""The conformance vectors that opstrand does not follow, each with the reason.

This is the only such list; it is short on purpose.
"""

from __future__ import annotations

_ALIAS = (
    "`file` is the references document's word for `files` (as params-268 says for the same value)"
)
_ADDRESS = "an address in a list is normalised like one alone (types-0408)"
_UNDEFINED = (
    "printing a name that does not exist is an error with the nearest name, as the vectors' own "
    "reading notes say"
)
_CIRCLE = (
    "a value that reads itself is named as a circle, like params-132; 2.18 keeps the text of the "
    "template"
)
_NONE = "the text None is a value like any other text; 2.18 takes it for no value"
_INTEGER = (
    "an integer beyond 64 bits with a sign loses digits in the cluster's store: refused, to be "
    "given as text"
)
_JOINS = (
    "a value expression that no run can ever answer is refused at the check, in joins as in params"
)
_ENGINE = (
    "the template engine's own helpers are no values of a run: using them is fine, printing them "
    "is an unknown name"
)
_COMPILED_AT = "a run is planned at many moments with one result, so its only moment is created_at"
_STORE = (
    "files always go to the run's own folder in the container; there is no mounted store to name"
)
_TWICE = "two declarations of one name contradict each other"
_UNNAMED = "a param without a name is a mistake of typing, said at once"
_TEXT = "a text for an undeclared param stays text; evaluating it would be guessing its type"
_NAMESPACE = "a project is a namespace here: globals.namespace is the project's name"
_OWN = (
    "what a run's own templates read of it, a ref can ask for: it is never passed on as the text "
    "of the expression"
)
_FLAG = "a declaration that contradicts itself is a mistake in the file (schema), not in a value"
_INFINITE = (
    "no JSON store keeps infinities or NaN: they are refused with their line, instead of becoming "
    "null or the text null"
)
_MOMENT = (
    "a time is the text that was written, as Kubernetes' own reader has it; 2.18 prints what its "
    "reader made of it"
)
_NUMBER = (
    "a template may stand where Kubernetes wants a number; it keeps its type and is judged after "
    "rendering"
)
_SIBLING = (
    "what the other operation declares is compared where the whole pipeline is judged, not in one "
    "of its operations"
)
_PIPELINE = (
    "a pipeline has no outputs while its operations run, however the expression is written "
    "(refs-s043 refuses the plain one)"
)

DECIDED_AGAINST: dict[str, str] = {
    "types-0619": _ALIAS,
    "types-0956": _ADDRESS,
    **dict.fromkeys(("types-1125", "types-1129", "types-1136"), _MOMENT),
    **dict.fromkeys((f"types-{number}" for number in range(1202, 1216)), _INFINITE),
    "params-052": _TEXT,
    "params-097": _TWICE,
    "params-100": _FLAG,
    "params-122": _UNDEFINED,
    "params-124": _UNDEFINED,
    "params-133": _CIRCLE,
    "params-188": _NONE,
    "params-211": _INTEGER,
    "params-219": _UNDEFINED,
    "params-237": _UNDEFINED,
    "params-242": _TEXT,
    "params-246": _UNNAMED,
    "templates-010": _NAMESPACE,
    "templates-019": _COMPILED_AT,
    "templates-027": _UNDEFINED,
    "templates-028": _UNDEFINED,
    "templates-029": _UNDEFINED,
    "templates-030": _UNDEFINED,
    "templates-031": _UNDEFINED,
    "templates-032": _STORE,
    "templates-034": _UNDEFINED,
    "templates-080": _ENGINE,
    "templates-133": _NONE,
    "templates-261": _UNDEFINED,
    "templates-286": _UNDEFINED,
    "templates-300": _UNDEFINED,
    "templates-351": _NUMBER,
    "refs-s063": _PIPELINE,
    "refs-s064": _PIPELINE,
    "refs-s068": _PIPELINE,
    "refs-s069": _PIPELINE,
    "refs-s070": _PIPELINE,
    "refs-s071": _PIPELINE,
    "refs-s155": _SIBLING,
    "refs-s157": _SIBLING,
    **dict.fromkeys((f"refs-r{number:03}" for number in (*range(19, 23), *range(108, 112))), _OWN),
    "refs-s225": _JOINS,
    "refs-s227": _JOINS,
}

_HUB = (
    "the operator finds a Component of the namespace when it creates the operation; 2.18 leaves "
    "that to its command line"
)
_NEVER = (
    "a run records no such fact for others: refused at the check with what there is, instead of a "
    "null at run time"
)
_SEED = (
    "the references document promises whole globals, inputs, io and artifacts of the pipeline, "
    "which are dictionaries"
)
_ANY = "any takes every value, from the pipeline as from an operation (dag-066)"
_RUNNING = "a pipeline has no outputs while its operations run, so what is asked can never come"
_TAKEN = (
    "a value that no run of the matrix can take is refused before anything runs, as matrix-100 "
    "asks for its like"
)
_MEASURED = (
    "it was measured with inputs that have no type; of a param that nothing declares the published "
    "checker accepts any space"
)
_LETTERS = (
    "2.18 makes a run of each letter of the template's text; a matrix is expanded after it was "
    "rendered"
)

DECIDED_AGAINST |= {
    "dag-010": _HUB,
    **dict.fromkeys(("dag-143", "dag-551"), _NEVER),
    **dict.fromkeys(("dag-500", "dag-510", "dag-540"), _ANY),
    "dag-521": _RUNNING,
    **dict.fromkeys(
        ("dag-523", "dag-524", "dag-525", "dag-529", "dag-530", "dag-544", "dag-545", "dag-546"),
        _SEED,
    ),
    "matrix-007": _LETTERS,
    **dict.fromkeys(("matrix-064", "matrix-065"), _TAKEN),
    "matrix-107": _MEASURED,
}

_NO_COMPONENT = (
    "an operation of the pipeline has no component (urlRef is read by the command line, '...' "
    "names none): it cannot run"
)
#: Files of the documentation with another verdict than the index says, by name.
DECIDED_FILES: dict[str, str] = {
    "docs-guides-automation-automation-dag-00.yaml": _NO_COMPONENT,
    "references-polyaxonfile-context-params-07.yaml": _NO_COMPONENT,
}

#: Files of the documentation that the published checker accepts and `check` refuses.
REFUSED_FILES: dict[str, str] = {}
_ALONE = "an init container that is waited for cannot have it: the API server refuses the Pod"
_ABSENT = "the other file is not there: the published checker looks for it later"
_VALUE = "the value does not fit, which the published checker does not look at before the run"
_RESTARTS = "the API server refuses rules without a restartPolicy"
_NO_PAGE = "the service would never be found idle: the page is on no port of the service"
#: Keys (see tests/support/every_key.py) whose file the published checker accepts and `check`
#: refuses.
DECIDED_KEYS: dict[str, str] = {
    "conditions": "it reads a name that nothing declares: the run would fail",
    **dict.fromkeys(("pathRef", "urlRef"), _ABSENT),
    **dict.fromkeys(
        ("run.container.restartPolicyRules", "run.init[0].container.restartPolicyRules"), _RESTARTS
    ),
    **{
        f"run.init[0].container.{key}": _ALONE
        for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
    },
    "termination.probe.http": _NO_PAGE,
    "inputs.x.toInit": "without a type nothing says what is to be brought",
    **dict.fromkeys(("inputs.x.validation", "inputs.x.options"), _VALUE),
}

#: Spellings (see `make_spellings` of the checker's test) that the published checker accepts and
#: `check` refuses.
DECIDED_SPELLINGS: dict[str, str] = {
    **dict.fromkeys(
        (
            *(
                f"validation.{rule} of int as template"
                for rule in (
                    "delay",
                    "minItems",
                    "maxItems",
                    "keys",
                    "containsKeys",
                    "excludesKeys",
                )
            ),
            *(f"validation.{rule} of dict as template" for rule in ("delay", "excludesKeys")),
        ),
        "2.18 renders no rule: the template's own text would be compared, or fail, when a value "
        "comes",
    ),
}
