"""`$(VAR)` on a laptop, by the same table with which a real kubelet is tested."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from tests.local.conftest import Run
from tests.support import expansion_vectors as vectors


def test_a_laptop_expands_as_a_kubelet_does(here: Run, tmp_path: Path) -> None:
    (tmp_path / "expansion.yaml").write_text(
        yaml.safe_dump(vectors.component(), allow_unicode=True)
    )
    ran = here("run", "--local", "-f", "expansion.yaml", "-l")
    assert ran.code == 0, ran
    assert json.loads(ran.stdout) == vectors.expected()


def test_a_secrets_key_is_the_callers_variable_or_refused(here: Run, tmp_path: Path) -> None:
    source = {"secretKeyRef": {"name": "api", "key": "token"}}
    script = "echo $TOKEN $AGAIN; printenv FOLDER; echo $0"
    env = [
        {"name": "TOKEN", "valueFrom": source},
        {"name": "AGAIN", "value": "$(TOKEN)!"},
        {"name": "ROOT", "value": "{{ globals.artifacts_path }}"},
        {"name": "FOLDER", "value": "$(ROOT)/x"},
    ]
    container = {"image": "a", "command": ["sh", "-c", script, "$(FOLDER)"], "env": env}
    (tmp_path / "secret.yaml").write_text(
        yaml.safe_dump({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    refused = here("run", "--local", "-f", "secret.yaml", "-l")
    assert refused.code == 1
    assert "TOKEN is the key 'token' of the Secret 'api', which needs a cluster" in refused.stderr
    ran = here("run", "--local", "-f", "secret.yaml", "-l", TOKEN="t$(HOME)")
    assert ran.code == 0, ran
    assert "from the environment of --local, not from a cluster: TOKEN" in ran.stderr
    said, folder, again = ran.out.splitlines()
    assert said == "t$(HOME) t$(HOME)!"
    assert folder == again
    assert folder.count("/plx-context") == 1


def test_a_dollar_in_the_name_of_a_folder_here_is_one(here: Run, tmp_path: Path) -> None:
    env = [{"name": "ROOT", "value": "{{ globals.artifacts_path }}"}]
    container = {
        "image": "a",
        "command": [
            "sh",
            "-c",
            'cd -- "$1" && cd -- "$ROOT" && pwd',
            "x",
            "/plx-context/artifacts",
        ],
        "env": env,
    }
    (tmp_path / "dollar.yaml").write_text(
        yaml.safe_dump({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    folder = tmp_path / "a$$b$(ROOT)"
    ran = here("run", "--local", "-f", "dollar.yaml", "-l", OPSTRAND_LOCAL=str(folder))
    assert ran.code == 0, ran
    assert ran.out.strip().startswith(f"{folder}/")


def test_a_working_directory_is_made_as_in_a_container(here: Run, tmp_path: Path) -> None:
    container = {"image": "a", "command": ["pwd"], "workingDir": "/plx-context/artifacts/new/deep"}
    (tmp_path / "folder.yaml").write_text(
        yaml.safe_dump({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    ran = here("run", "--local", "-f", "folder.yaml", "-l")
    assert ran.code == 0, ran
    assert ran.out.strip().endswith("/plx-context/artifacts/new/deep")


def test_what_is_data_arrives_as_it_was_given(here: Run, tmp_path: Path) -> None:
    """The content of files and the values of params are data, whatever folder they name."""
    content = "/plx-context/artifacts {{ p }} {{ globals.context_path }}\n"
    script = (
        'printf "%s\n" "$@" "$TEXT"; cat /plx-context/artifacts/note.txt; printenv '
        "POLYAXON_CONTEXT_ROOT"
    )
    container = {
        "image": "a",
        "command": ["sh", "-c", script, "sh"],
        "args": [
            "{{ p }}",
            "x/{{ p }}/y",
            "/data/plx-context/z",
            "/plx-context-of-mine",
            "--to=/plx-context/{{ p }}",
        ],
        "env": [{"name": "TEXT", "value": "{{ p }}:/plx-context"}],
    }
    written = {
        "kind": "component",
        "inputs": [{"name": "p", "type": "str"}],
        "run": {
            "kind": "job",
            "init": [{"file": {"filename": "note.txt", "content": content}}],
            "container": container,
        },
    }
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(written))
    value = "/plx-context/artifacts/$(HOME)"
    ran = here("run", "--local", "-f", "data.yaml", "-P", f"p={value}", "-l")
    assert ran.code == 0, ran
    *said, root = ran.out.splitlines()
    assert root.endswith("/files/plx-context")
    assert said == [
        value,
        f"x/{value}/y",
        "/data/plx-context/z",
        "/plx-context-of-mine",
        f"--to={root}/{value}",
        f"{value}:{root}",
        f"/plx-context/artifacts {value} {root}",
    ]


def test_paths_from_templates_are_where_the_files_are(here: Run, tmp_path: Path) -> None:
    folder = "{{ globals.artifacts_path }}/made"
    container = {"image": "a", "command": ["sh", "-c", "pwd; ls"], "workingDir": folder}
    init = [{"file": {"filename": "a.txt", "content": "x"}, "path": folder}]
    (tmp_path / "paths.yaml").write_text(
        yaml.safe_dump(
            {"kind": "component", "run": {"kind": "job", "init": init, "container": container}}
        )
    )
    ran = here("run", "--local", "-f", "paths.yaml", "-l")
    assert ran.code == 0, ran
    place, name = ran.out.splitlines()
    assert (place.endswith("/files/plx-context/artifacts/made"), name) == (True, "a.txt")


def test_a_text_that_an_expression_gives_is_data_though_the_author_wrote_it(
    here: Run, tmp_path: Path
) -> None:
    container = {
        "image": "a",
        "command": ["printf", "%s\n"],
        "args": ["{{ '$(HOME)' }}", "a {{ '$(A)' }} $(A)"],
    }
    container["env"] = [{"name": "A", "value": "1"}]
    (tmp_path / "literal.yaml").write_text(
        yaml.safe_dump({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    ran = here("run", "--local", "-f", "literal.yaml", "-l")
    assert ran.code == 0, ran
    assert ran.out.splitlines() == ["$(HOME)", "a $(A) 1"]


def test_a_folder_of_local_runs_whose_name_is_no_text_is_refused(here: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump(
            {
                "kind": "component",
                "run": {"kind": "job", "container": {"image": "a", "command": ["true"]}},
            }
        )
    )
    ran = here("run", "--local", "-f", "a.yaml", OPSTRAND_LOCAL=f"{tmp_path}/b\udcff")
    assert ran.code == 2, ran
    assert "with a name in UTF-8, found" in ran.stderr
    assert "OPSTRAND_LOCAL" in ran.stderr
