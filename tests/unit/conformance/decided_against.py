"""The conformance vectors that opstrand does not follow, each with the reason. The only such list; it is short on purpose."""

from __future__ import annotations

_ALIAS = "`file` is the references document's word for `files` (as params-268 says for the same value)"
_ADDRESS = "an address in a list is normalised like one alone (types-0408)"
_UNDEFINED = "printing a name that does not exist is an error with the nearest name, as the vectors' own reading notes say"
_CIRCLE = "a value that reads itself is named as a circle, like params-132; 2.18 keeps the text of the template"
_NONE = "the text None is a value like any other text; 2.18 takes it for no value"
_INTEGER = "an integer beyond 64 bits with a sign loses digits in the cluster's store: refused, to be given as text"
_JOINS = "a value expression that no run can ever answer is refused at the check, in joins as in params"
_ENGINE = "the template engine's own helpers are no values of a run: using them is fine, printing them is an unknown name"
_COMPILED_AT = "a run is planned at many moments with one result, so its only moment is created_at"
_STORE = "files always go to the run's own folder in the container; there is no mounted store to name"
_TWICE = "two declarations of one name contradict each other"
_UNNAMED = "a param without a name is a mistake of typing, said at once"
_TEXT = "a text for an undeclared param stays text; evaluating it would be guessing its type"

DECIDED_AGAINST: dict[str, str] = {
    "types-0619": _ALIAS,
    "types-0956": _ADDRESS,
}
