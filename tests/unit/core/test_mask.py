"""A secret never reaches a message, and a message about a file or field with such a name is left
as it is.
"""

import pytest

from opstrand.core.mask import is_secret_name, mask

HIDDEN = {
    "login failed: password=hunter22 for bob": "login failed: password=*** for bob",
    "password=invalid": "password=***",
    '{"api_key": "abcd1234", "n": 1}': '{"api_key": "***", "n": 1}',
    "password: correcthorse": "password: ***",
    "password: is-this-one": "password: ***",
    "invalid token: abc123def": "invalid token: ***",
    "token: invalid-and-longer": "token: ***",
    "/run/secrets/password:hunter2": "/run/secrets/password:***",
    "secret/db/password: swordfish": "secret/db/password: ***",
    "secret/db/password: swordfish was read": "secret/db/password: *** was read",
    "client_secret = swordfish": "client_secret = ***",
    "Authorization: Bearer abcdefgh.ijkl": "Authorization: Bearer ***",
    "authorization: basic swordfish": "authorization: basic ***",
    "used Bearer abcdefgh1": "used Bearer ***",
    "used Basic dXNlcjpwYXNz": "used Basic ***",
    "clone https://bob:secret@git.test/a failed": "clone https://***@git.test/a failed",
    "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc is bad": "token *** is bad",
    "ghp_abcdefghijklmnopqrstuvwxyz0123": "***",
    "AKIAIOSFODNN7EXAMPLE": "***",
    "key-AKIAIOSFODNN7EXAMPLE": "key-***",
    "--db-password=swordfish": "--db-password=***",
}
LEFT = [
    "the token was refused",
    "ValueError: no such column",
    "tokens=5",
    "cat: /etc/passwd: Permission denied",
    "sed: couldn't open file /etc/passwd: Text file busy",
    "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory",
    "cp: token: No such file or directory",
    "C:/passwd: Access is denied.",
    "/etc/passwd: line 3: syntax error",
    "password: must not be empty",
    '{"password": "must not be empty"}',
    "x-token: expired, log in again",
    "api-key: required.",
    "KeyError: 'DB_PASSWORD'",
    "SyntaxError: unexpected token: foo",
    'sqlite3.OperationalError: unrecognized token: "foo"',
    "use a token as pad_token (tokenizer.pad_token = tokenizer.eos_token)",
    "max_token: 4096",
    "HTTP Basic authentication is not supported",
    "a basic configuration error",
    "Bearer authentication.",
]


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items())
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize("text", LEFT)
def test_a_message_about_a_thing_of_such_a_name_is_left_as_it_is(text: str) -> None:
    assert mask(text) == text


def test_known_values_are_hidden_wherever_they_stand() -> None:
    assert mask("got swordfish-and-more, abc", ["swordfish", "abc"]) == "got ***-and-more, abc"
    assert mask("it is true, none is default", ["true", "none", "Default"]) == (
        "it is true, none is default"
    )


@pytest.mark.parametrize(
    "names",
    [
        "DB_PASSWORD PGPASSWORD dbPassword MYSQL_PWD SMTP_PASS PASS",
        "githubToken OAUTH_TOKEN HF_TOKEN BASIC_AUTH HTTP_AUTHORIZATION",
        "api-key APIKEY AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID PRIVATE_KEY",
        "SECRET GOOGLE_CREDENTIALS",
    ],
)
def test_a_variable_of_such_a_name_holds_a_secret(names: str) -> None:
    assert [name for name in names.split() if not is_secret_name(name)] == []


@pytest.mark.parametrize(
    "names",
    [
        "LEARNING_RATE KEY KEYBOARD _",
        "AUTHOR AUTHORITY COMPASS BYPASS_CACHE TOKENIZERS_PARALLELISM",
        "MAX_TOKENS PAD_TOKEN",
        "TOKEN_FILE AUTH_TYPE PASSWORD_MIN_LENGTH",
    ],
)
def test_a_variable_of_such_a_name_holds_none(names: str) -> None:
    assert [name for name in names.split() if is_secret_name(name)] == []
