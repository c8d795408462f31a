"""Paths of files of runs: what may be one, and what the refusal says."""

import pytest

from opstrand.artifacts.names import BadPath, check_file, check_path


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "outputs/model.bin",
        "with space/ünï çode/日本.txt",
        "-dash",
        "a..b/...c",
        "#?&%41",
        "'\"",
        "n" * 255,
        "/".join(["d" * 200] * 5),
    ],
)
def test_a_path_of_names_is_kept_as_it_is(path: str) -> None:
    assert check_path(path) == path == check_file(path)


@pytest.mark.parametrize(("path", "folder"), [("", ""), ("/", ""), ("a/b/", "a/b")])
def test_a_folder_may_end_in_a_slash(path: str, folder: str) -> None:
    assert check_path(path) == folder
    with pytest.raises(BadPath, match="expected the path of a file"):
        check_file(path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("..", "has the part '..'"),
        ("a/../../b", "has the part '..'"),
        ("./a", "has the part '.'"),
        ("a//b", "has the part ''"),
        ("/etc/passwd", "absolute"),
        ("a\nb", "control character"),
        ("\x1b[31mred", "control character"),
        ("nul\0", "control character"),
        ("n" * 300, "a name of 300 bytes, expected at most 255"),
        ("ü" * 128, "a name of 256 bytes"),
        ("/".join(["d" * 200] * 6), "1205 bytes, expected at most 1024"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_any_other_path_is_refused_with_its_reason(path: str, why: str) -> None:
    with pytest.raises(BadPath, match=why):
        check_path(path)
